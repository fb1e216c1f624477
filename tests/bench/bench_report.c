#include "tests/bench/bench_report.h"

#include <stdio.h>

/* At least 1: a result without a peer has a line, too. */
static size_t lines_of(const struct bench_result *result)
{
    size_t peers = 0;

    while (peers < BENCH_PEERS && result->peers[peers] != NULL) {
        peers++;
    }
    return peers == 0 ? 1 : peers;
}

static double ratio_of(const struct bench_result *result)
{
    return bench_is_there(result->floor_ns) && result->floor_ns > 0 ? result->ns / result->floor_ns
                                                                    : BENCH_NONE;
}

void bench_report_head(void)
{
    printf("Nanoseconds a call; n: pages or areas that it is about.\n\n");
    printf("%-26s %9s %13s %13s %7s  %-12s %13s\n", "name", "n", "ns", "floor", "ratio", "peer",
           "ns");
}

static void print_figure(double figure)
{
    if (bench_is_there(figure)) {
        printf(" %13.*f", figure < 1000 ? 1 : 0, figure);
    } else {
        printf(" %13s", "-");
    }
}

void bench_report_line(const struct bench_result *result)
{
    for (size_t i = 0; i < lines_of(result); i++) {
        const char *peer = result->peers[i];

        printf("%-26s %9llu", result->name, (unsigned long long)result->n);
        print_figure(result->ns);
        print_figure(result->floor_ns);
        printf(" %7.2f  %-12s", ratio_of(result), peer == NULL ? "-" : peer);
        print_figure(peer == NULL ? BENCH_NONE : result->peer_ns[i]);
        printf("\n");
    }
    fflush(stdout);
}

static void put_number(FILE *file, const char *key, double number)
{
    if (bench_is_there(number)) {
        fprintf(file, ", \"%s\": %.2f", key, number);
    } else {
        fprintf(file, ", \"%s\": null", key);
    }
}

static void put_line(FILE *file, const struct bench_result *result, size_t peer)
{
    const char *name = result->peers[peer];

    fprintf(file, "  {\"name\": \"%s\", \"n\": %llu", result->name, (unsigned long long)result->n);
    put_number(file, "ns", result->ns);
    put_number(file, "floor_ns", result->floor_ns);
    put_number(file, "ratio", ratio_of(result));
    if (name == NULL) {
        fprintf(file, ", \"peer\": null, \"peer_ns\": null}");
        return;
    }
    fprintf(file, ", \"peer\": \"%s\"", name);
    put_number(file, "peer_ns", result->peer_ns[peer]);
    fprintf(file, "}");
}

bool bench_report_json(const char *path, const struct bench_result results[], size_t count)
{
    FILE *file = fopen(path, "w");
    const char *separator = "";

    if (file == NULL) {
        return false;
    }
    fprintf(file, "[\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t line = 0; line < lines_of(&results[i]); line++) {
            fprintf(file, "%s", separator);
            put_line(file, &results[i], line);
            separator = ",\n";
        }
    }
    fprintf(file, "\n]\n");
    return fclose(file) == 0;
}
