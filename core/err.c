#include "core/err.h"

const char *mapping_error_name(enum mapping_error error)
{
    switch (error) {
    case MAPPING_OK:
        return "MAPPING_OK";
    case MAPPING_INVALID_PARAM:
        return "MAPPING_INVALID_PARAM";
    case MAPPING_ALREADY_EXISTS:
        return "MAPPING_ALREADY_EXISTS";
    case MAPPING_BAD_STATE:
        return "MAPPING_BAD_STATE";
    case MAPPING_NOT_FOUND:
        return "MAPPING_NOT_FOUND";
    case MAPPING_NO_FRAME:
        return "MAPPING_NO_FRAME";
    case MAPPING_NO_NODE:
        return "MAPPING_NO_NODE";
    case MAPPING_DENIED:
        return "MAPPING_DENIED";
    case MAPPING_UNSUPPORTED:
        return "MAPPING_UNSUPPORTED";
    }
    return "MAPPING_?";
}
