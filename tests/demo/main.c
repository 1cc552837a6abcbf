/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program of the demonstration: calls the sample actors of a silo through the client library. */
#include "demo.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int demo_fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("quark-demo: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    if (status < 0)
        fprintf(stderr, " (%s)", qk_status_name(status));
    fputc('\n', stderr);
    return 1;
}

void demo_progress(const char *what, size_t done, size_t total)
{
    static int terminal = -1;
    static size_t shown;
    if (terminal < 0)
        terminal = isatty(STDERR_FILENO);
    size_t percent = total == 0 ? 100 : done * 100 / total;
    if (terminal) {
        fprintf(stderr, "\r  %s: %zu of %zu (%zu %%)%s", what, done, total, percent, done == total ? "\n" : "");
        fflush(stderr);
        return;
    }
    if (percent / 25 != shown / 25 && percent >= 25)
        fprintf(stderr, "  %s: %zu of %zu (%zu %%)\n", what, done, total, percent);
    shown = percent == 100 ? 0 : percent;
}

double demo_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct qk_client *demo_connect(void)
{
    struct qk_client *client;
    int rc = qk_client_create(NULL, &client);
    if (rc < 0) {
        demo_fail(rc, "can't make a client");
        return NULL;
    }
    rc = qk_client_connect(client);
    if (rc < 0) {
        demo_fail(rc, "%s", qk_client_error(client));
        qk_client_destroy(client);
        return NULL;
    }
    return client;
}

int demo_reconnect(struct qk_client *client, unsigned seconds)
{
    double until = demo_seconds() + seconds;
    for (;;) {
        int rc = qk_client_connect(client);
        if (rc >= 0 || demo_seconds() > until)
            return rc;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static const char help[] =
    "usage: quark-demo words [--top N] TOTALS <TEXT     count words; TOTALS gets the count of each\n"
    "       quark-demo bank [--clients N] [--transfers N] [--accounts N] [--half FILE]\n"
    "                                                  move money; makes FILE when half of it is done\n"
    "QUARK_SOCKET says where the silo listens.\n";

/* A number from 1 to `max`; 0 where the word is none. */
static size_t number(const char *word, size_t max)
{
    char *end;
    unsigned long long n = strtoull(word, &end, 10);
    return *end == '\0' && n <= max ? (size_t)n : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"top", required_argument, NULL, 'n'},
        {"clients", required_argument, NULL, 'c'},
        {"transfers", required_argument, NULL, 't'},
        {"accounts", required_argument, NULL, 'a'},
        {"half", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    size_t top = 10, clients = 8, transfers = 100000, accounts = 100;
    const char *half = NULL;
    int c;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'n')
            top = number(optarg, 1000);
        else if (c == 'c')
            clients = number(optarg, 64);
        else if (c == 't')
            transfers = number(optarg, 100000000);
        else if (c == 'a')
            accounts = number(optarg, 100000);
        else if (c == 'f')
            half = optarg;
        else
            return fputs(help, c == 'h' ? stdout : stderr), c == 'h' ? 0 : 2;
    }
    const char *what = optind < argc ? argv[optind] : "";
    if (top == 0 || clients == 0 || transfers == 0 || accounts < 2)
        return demo_fail(0, "a number is out of range"), 2;
    if (strcmp(what, "words") == 0 && argc == optind + 2)
        return demo_words((unsigned)top, argv[optind + 1]);
    if (strcmp(what, "bank") == 0 && argc == optind + 1)
        return demo_bank((unsigned)clients, transfers, (unsigned)accounts, half);
    fputs(help, stderr);
    return 2;
}
