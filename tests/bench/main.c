/* SPDX-License-Identifier: GPL-3.0-or-later */
/* quark-bench: runs workloads and prints what they cost, as a table or as lines of JSON. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX 100

static const struct bench_workload workloads[] = {
    {"local_rt_1w", "ns", "round trip between two actors, one worker", local_round_trip, floor_round_trip, 1, 1, false,
     false, "<= 150"},
    {"local_rt_2w", "ns", "the same pair with two workers", local_round_trip, floor_round_trip, 2, 1, false, false,
     NULL},
    {"pairs_1000", "round trips/s", "1,000 pairs at once, two workers", local_pairs, floor_pairs, 2, 1000, true, false,
     NULL},
    {"pairs_1000_1w", "round trips/s", "the same with one worker", local_pairs, floor_pairs, 1, 1000, true, false,
     NULL},
    {"flood_1p", "messages/s", "one way into one actor, one producer", local_flood, floor_queue, 1, 1, true, false,
     ">= 10,000,000"},
    {"flood_4p", "messages/s", "the same with four producers", local_flood, floor_queue, 1, 4, true, false, NULL},
    {"flood_1p_2w", "messages/s", "one producer, two workers", local_flood, floor_queue, 2, 1, true, false, NULL},
    {"flood_4p_2w", "messages/s", "four producers, two workers", local_flood, floor_queue, 2, 4, true, false, NULL},
    {"ring_1000", "ns", "a hop of a message round 1,000 actors", local_ring, floor_ring, 1, 1000, false, false, NULL},
    {"create_1m", "ns", "the first call of each of a million actors", local_create, floor_create, 1, 0, false, false,
     "<= 1,000"},
    {"idle_bytes", "bytes", "each idle activation beyond state and key", local_idle, NULL, 1, 0, false, false,
     "<= 320"},
    {"fanout_1000", "us", "a message to each of 1,000 actors, until all have it", local_fanout, floor_fanout, 1, 1000,
     false, false, NULL},
    {"timer_start", "ns", "each of a million timers of 100 actors", timers_start, floor_timer_start, 1, BENCH_TIMERS,
     false, false, "<= 30"},
    {"timer_fire", "ns", "each of a million that are due at once; lateness when spread over two seconds", timers_fire,
     floor_timer_fire, 1, BENCH_TIMERS, false, false, "<= 200, p99 <= 5 ms"},
    {"client_1", "calls/s", "calls over the socket, one at a time", client_calls, floor_socket, 0, 1, true, false,
     NULL},
    {"client_64", "calls/s", "64 in flight", client_calls, floor_socket, 0, 64, true, false, NULL},
    {"client_1024", "calls/s", "1,024 in flight", client_calls, floor_socket, 0, 1024, true, false, ">= 400,000"},
    {"iso_client_1", "calls/s", "calls into an isolated plugin, one at a time; floor: into the daemon itself",
     iso_client_calls, client_calls, 0, 1, true, false, "ratio <= 1.4"},
    {"iso_client_1024", "calls/s", "1,024 in flight; the same floor", iso_client_calls, client_calls, 0, 1024, true,
     false, "ratio <= 1.43"},
    {"iso_local_rt", "ns", "round trip between two actors of one isolated plugin", iso_local, floor_iso_local, 0, 1,
     false, false, "as its floor"},
    {"iso_cross", "ns", "each way between two isolated plugins, 64 callers", iso_cross, floor_iso_cross, 0, 64, false,
     false, "<= 1,000"},
    {"iso_cross_1", "ns", "with one caller", iso_cross, floor_iso_cross, 0, 1, false, false, NULL},
    {"host_death", "ms", "from the end of a process to the last of 10,000 answers", host_death, NULL, 0, 0, false,
     false, "<= 50"},
    {"host_start", "ms", "from the end of a process to the first answer of the next", host_start, NULL, 0, 0, false,
     false, "<= 50"},
    {"ring_rt", "ns", "64 bytes through two rings and back, two processes awake", ring_round_trip,
     floor_ring_round_trip, 0, 64, false, false, NULL},
    {"ring_frames", "frames/s", "frames of 64 bytes through a channel, one way; floor: records", ring_frames,
     floor_ring_frames, 0, 64, true, false, NULL},
    {"save_sqlite_1", "saves/s", "durable saves of one actor; floor: single rows", save_sqlite, floor_sqlite, 2, 1,
     true, false, "ratio <= 1.1"},
    {"save_sqlite_64", "saves/s", "of 64 actors at once; the same floor", save_sqlite, floor_sqlite, 2, 64, true, false,
     "ratio <= 0.17"},
    {"overload", "%", "of the best goodput at ten times the load; latency of refusals", overload_goodput, NULL, 0, 10,
     true, true, ">= 90, p99 <= 5 ms"},
    {"overload_end", "ms", "from the end of such a load until calls succeed as before", overload_recovery, NULL, 0, 10,
     false, true, "<= 1,000"},
    {"pairs_1", "round trips/s", "1 pair, one worker", local_pairs, floor_pairs, 1, 1, true, true, NULL},
    {"pairs_100", "round trips/s", "100 pairs, one worker", local_pairs, floor_pairs, 1, 100, true, true, NULL},
    {"pairs_10000", "round trips/s", "10,000 pairs, one worker", local_pairs, floor_pairs, 1, 10000, true, true, NULL},
    {"pairs_100000", "round trips/s", "100,000 pairs, one worker", local_pairs, floor_pairs, 1, 100000, true, true,
     NULL},
    {"text_16", "ns", "round trip with a text of 16 bytes each way", local_texts, NULL, 1, 16, false, true, NULL},
    {"text_256", "ns", "of 256 bytes", local_texts, NULL, 1, 256, false, true, NULL},
    {"text_4096", "ns", "of 4,096 bytes", local_texts, NULL, 1, 4096, false, true, NULL},
    {"text_65536", "ns", "of 65,536 bytes", local_texts, NULL, 1, 65536, false, true, NULL},
};

#define N_WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

void bench_fail(const char *format, ...)
{
    va_list args;
    fputs("quark-bench: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

uint64_t bench_resident(void)
{
    unsigned long total, resident;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%lu %lu", &total, &resident) != 2)
        bench_fail("can't read /proc/self/statm");
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void bench_apart(void (*run)(double *values), double *values, int n)
{
    int ends[2];
    size_t size = (size_t)n * sizeof(*values);
    if (pipe(ends) != 0)
        bench_fail("pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        bench_fail("fork: %s", strerror(errno));
    if (pid == 0) {
        run(values);
        _exit(write(ends[1], values, size) == (ssize_t)size ? 0 : 1);
    }
    close(ends[1]);
    bool whole = read(ends[0], values, size) == (ssize_t)size;
    close(ends[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    if (!whole || status != 0)
        bench_fail("a run in a process of its own failed");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_of(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), compare);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* What all runs of a workload gave. */
struct result {
    double median, min, max, floor, ratio, p50_us, p99_us;
    int runs;
};

static void measure(const struct bench_workload *w, int runs, struct result *ret_result)
{
    double values[RUNS_MAX], floors[RUNS_MAX], p50[RUNS_MAX], p99[RUNS_MAX];
    *ret_result = (struct result){.runs = runs};
    for (int i = 0; i < runs; i++) {
        struct bench_sample sample = {0};
        w->run(w, &sample);
        values[i] = sample.value;
        p50[i] = sample.p50_us;
        p99[i] = sample.p99_us;
        if (w->floor != NULL) { /* beside each run, so that both meet the same machine */
            struct bench_sample floor = {0};
            w->floor(w, &floor);
            floors[i] = floor.value;
        }
    }
    ret_result->median = median_of(values, runs);
    ret_result->min = values[0];
    ret_result->max = values[runs - 1];
    ret_result->p50_us = median_of(p50, runs);
    ret_result->p99_us = median_of(p99, runs);
    if (w->floor != NULL) {
        ret_result->floor = median_of(floors, runs);
        ret_result->ratio = w->rate ? ret_result->floor / ret_result->median : ret_result->median / ret_result->floor;
    }
}

/* ---- output */

static void print_json(const struct bench_workload *w, const struct result *r)
{
    printf("{\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.6g,\"min\":%.6g,\"max\":%.6g,\"runs\":%d", w->name, w->unit,
           r->median, r->min, r->max, r->runs);
    if (w->floor != NULL)
        printf(",\"floor\":%.6g,\"ratio\":%.3g", r->floor, r->ratio);
    if (r->p50_us > 0)
        printf(",\"p50_us\":%.4g,\"p99_us\":%.4g", r->p50_us, r->p99_us);
    printf("}\n");
    fflush(stdout);
}

/* Thousands apart; a digit behind the point for what is small. */
static const char *figure(double value, char *text)
{
    char plain[64];
    snprintf(plain, sizeof(plain), value < 100 ? "%.1f" : "%.0f", value);
    const char *point = strchr(plain, '.');
    size_t whole = point != NULL ? (size_t)(point - plain) : strlen(plain);
    char *at = text;
    for (size_t i = 0; plain[i] != '\0'; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0 && plain[i - 1] != '-')
            *at++ = ',';
        *at++ = plain[i];
    }
    *at = '\0';
    return text;
}

static void print_head(void)
{
    printf("%-14s %14s %14s %14s %14s %6s  %-14s %s\n", "workload", "median", "min", "max", "floor", "ratio", "unit",
           "what");
}

static void print_row(const struct bench_workload *w, const struct result *r)
{
    char a[80], b[80], c[80], d[80] = "-", ratio[16] = "-";
    if (w->floor != NULL) {
        figure(r->floor, d);
        snprintf(ratio, sizeof(ratio), r->ratio < 1 ? "%.2f" : "%.1f", r->ratio);
    }
    printf("%-14s %14s %14s %14s %14s %6s  %-14s %s", w->name, figure(r->median, a), figure(r->min, b),
           figure(r->max, c), d, ratio, w->unit, w->what);
    if (w->goal != NULL)
        printf(" (goal %s)", w->goal);
    if (r->p50_us > 0)
        printf("; p50 %.0f us, p99 %.0f us", r->p50_us, r->p99_us);
    putchar('\n');
    fflush(stdout);
}

static void print_help(void)
{
    printf("usage: quark-bench [--json] [--runs N] [NAME...]\n\n"
           "Runs every workload, or those named, and prints medians; lower is better, but for rates (a second).\n"
           "The floor is the same work with nothing around it, the ratio how many times that Quark takes.\n\n"
           "  --json      one line of JSON for each workload\n"
           "  --runs N    runs of each, 1 to %d (5)\n\n",
           RUNS_MAX);
    for (size_t i = 0; i < N_WORKLOADS; i++)
        printf("  %-14s %s%s\n", workloads[i].name, workloads[i].what, workloads[i].only_named ? " (by name)" : "");
}

/* ---- the choice of workloads */

static const struct bench_workload *find(const char *name)
{
    for (size_t i = 0; i < N_WORKLOADS; i++) {
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    }
    return NULL;
}

static void show(const struct bench_workload *w, int runs, bool json)
{
    struct result r;
    measure(w, runs, &r);
    if (json)
        print_json(w, &r);
    else
        print_row(w, &r);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool json = false;
    long runs = 5;
    int c;
    while ((c = getopt_long(argc, argv, "jr:h", options, NULL)) != -1) {
        switch (c) {
        case 'j':
            json = true;
            break;
        case 'r':
            runs = strtol(optarg, NULL, 10);
            break;
        case 'h':
            print_help();
            return 0;
        default:
            return 2;
        }
    }
    if (runs < 1 || runs > RUNS_MAX) {
        fprintf(stderr, "quark-bench: --runs takes a number from 1 to %d\n", RUNS_MAX);
        return 2;
    }
    for (int i = optind; i < argc; i++) {
        if (find(argv[i]) == NULL) {
            fprintf(stderr, "quark-bench: no workload is called %s; quark-bench --help lists them\n", argv[i]);
            return 2;
        }
    }
    actors_prepare();
    if (!json)
        print_head();
    for (int i = optind; i < argc; i++)
        show(find(argv[i]), (int)runs, json);
    for (size_t i = 0; optind == argc && i < N_WORKLOADS; i++) {
        if (!workloads[i].only_named)
            show(&workloads[i], (int)runs, json);
    }
    return 0;
}
