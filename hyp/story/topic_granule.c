#include "hyp/story/checks.h"
#include "hyp/story/describe.h"
#include "hyp/story/granule_guest.h"
#include "hyp/story/topics.h"

/* The ID registers say no: then the library must, too, and why. */
static void check_refusal(const struct format *format)
{
    struct s2_config config = format_config(format, format_ipa_bits_max(format));
    const char *reason = NULL;
    struct s2_cost cost;

    check(s2_config_cost(&config, &cost, &reason) == MAPPING_UNSUPPORTED && reason != NULL,
          "no %s here: %s", format->name, reason != NULL ? reason : "the library would try");
}

static void tell(const struct granule_guest *on)
{
    describe_cost(&on->config);
    check(guest_boot(on->guest).outcome == GUEST_DONE, "%s boots", on->guest->name);
    describe_table(s2_space_table(&on->guest->space));
    granule_el1(on);
    granule_ram(on);
    granule_refused(on);
    granule_runs(on);
    granule_replace(on);
}

void topic_granule(const struct format *format)
{
    static struct guest guest;
    struct granule_guest on;

    if (!format_is_offered(format)) {
        check_refusal(format);
        return;
    }
    checks_topic("%s, a guest on %s", format->guest, format->name);
    granule_guest_init(&on, &guest, format);
    tell(&on);
    checks_topic("%s, as the CPU translates it", format->name);
    topic_translation(&guest);
    guest_fini(&guest);
    topic_translation_sizes(format);
}
