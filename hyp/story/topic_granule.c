#include "hyp/story/checks.h"
#include "hyp/story/describe.h"
#include "hyp/story/topics.h"
#include "hyp/story/tour.h"

/* The ID registers say no: then the library must, too, and why. */
static void check_refusal(const struct format *format)
{
    struct s2_config config = format_config(format, format_ipa_bits_max(format));
    const char *reason = NULL;
    struct s2_cost cost;

    check(s2_config_cost(&config, &cost, &reason) == MAPPING_UNSUPPORTED && reason != NULL,
          "no %s here: %s", format->name, reason != NULL ? reason : "the library would try");
}

static void tell(const struct tour *tour)
{
    describe_cost(&tour->config);
    check(guest_boot(tour->guest).outcome == GUEST_DONE, "%s boots", tour->guest->name);
    describe_table(s2_space_table(&tour->guest->space));
    tour_honest(tour);
    tour_ram(tour);
    tour_denied(tour);
    tour_runs(tour);
    tour_replace(tour);
}

void topic_granule(const struct format *format)
{
    static struct guest guest;
    struct tour tour;

    if (!format_is_offered(format)) {
        check_refusal(format);
        return;
    }
    checks_topic("%s, a guest on %s", format->guest, format->name);
    tour_init(&tour, &guest, format);
    tell(&tour);
    checks_topic("The CPU's own opinion of %s", format->name);
    topic_oracle(&guest);
    guest_fini(&guest);
    topic_oracle_sizes(format);
}
