#!/bin/sh
# has_asan.sh COMPILER... - whether it can link with AddressSanitizer and UBSan.
printf 'int main(void)\n{\n    return 0;\n}\n' |
    "$@" -fsanitize=address,undefined -x c -o /dev/null - >/dev/null 2>&1
