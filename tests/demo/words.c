/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counts the words of a text with one actor for each distinct word, every occurrence a call of its own. */
#include "demo.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "words.quark-client.h"

#define IN_FLIGHT_MAX 512 /* below the bound of a mailbox, should they all go to one word */

struct text {
    char *bytes;
    char **words; /* in the order of the text */
    size_t n_words;
    char **distinct; /* sorted */
    uint32_t *counts;
    size_t n_distinct;
};

struct run {
    struct qk_client *client;
    size_t done;
    size_t failed;
    int status; /* of the first that failed */
    char reason[256];
};

static char *read_all(size_t *ret_size)
{
    size_t size = 0, capacity = 1 << 20;
    char *bytes = malloc(capacity);
    while (bytes != NULL) {
        size_t n = fread(bytes + size, 1, capacity - size - 1, stdin);
        size += n;
        if (n == 0)
            break;
        if (size + 1 == capacity) {
            char *more = realloc(bytes, capacity *= 2);
            if (more == NULL)
                free(bytes);
            bytes = more;
        }
    }
    if (bytes != NULL)
        bytes[size] = '\0';
    *ret_size = size;
    return bytes;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A word is a run of ASCII letters, in lower case; one that is longer than a key may be is cut. */
static void split(struct text *text, size_t size)
{
    size_t start = 0;
    for (size_t i = 0; i <= size; i++) {
        char c = text->bytes[i];
        if (c >= 'A' && c <= 'Z')
            text->bytes[i] = c = (char)(c - 'A' + 'a');
        if (c >= 'a' && c <= 'z')
            continue;
        text->bytes[i] = '\0';
        if (i > start)
            text->words[text->n_words++] = text->bytes + start;
        start = i + 1;
    }
    memcpy(text->distinct, text->words, text->n_words * sizeof(*text->words));
    qsort(text->distinct, text->n_words, sizeof(*text->distinct), by_bytes);
    for (size_t i = 0; i < text->n_words; i++) {
        if (i == 0 || strcmp(text->distinct[i], text->distinct[text->n_distinct - 1]) != 0)
            text->distinct[text->n_distinct++] = text->distinct[i];
    }
}

static void text_finish(struct text *text)
{
    free(text->bytes);
    free(text->words);
    free(text->distinct);
    free(text->counts);
}

static int text_read(struct text *ret_text)
{
    size_t size;
    struct text text = {.bytes = read_all(&size)};
    if (text.bytes == NULL)
        return demo_fail(0, "no memory for the text");
    size_t most = size / 2 + 1;
    text.words = malloc(most * sizeof(*text.words));
    text.distinct = malloc(most * sizeof(*text.distinct));
    text.counts = calloc(most, sizeof(*text.counts));
    if (text.words == NULL || text.distinct == NULL || text.counts == NULL) {
        text_finish(&text);
        return demo_fail(0, "no memory for the words");
    }
    split(&text, size);
    *ret_text = text;
    return 0;
}

static void note(struct run *run, const struct qk_reply *reply)
{
    run->done++;
    if (reply->status >= 0 || run->failed++ != 0)
        return;
    run->status = reply->status;
    snprintf(run->reason, sizeof(run->reason), "%s", reply->text);
}

static void on_added(void *arg, const struct qk_reply *reply)
{
    note(arg, reply);
}

/* Until there is room for one more call, or none is left in flight where `all` is set. */
static int wait_for_room(struct run *run, bool all)
{
    while (qk_client_in_flight(run->client) >= (all ? 1 : IN_FLIGHT_MAX)) {
        int rc = qk_client_poll(run->client, -1);
        if (rc < 0)
            return demo_fail(rc, "%s", qk_client_error(run->client));
    }
    return run->failed == 0 ? 0 : demo_fail(run->status, "%zu calls failed; the first: %s", run->failed, run->reason);
}

/* Callbacks must not find `run` gone, after a failure either. */
static int finish(struct run *run, int failed)
{
    if (!failed)
        failed = wait_for_room(run, true);
    if (failed)
        qk_client_drain(run->client, -1);
    return failed;
}

static int feed(struct qk_client *client, const struct text *text)
{
    struct run run = {.client = client};
    const Words__AddRequest request = WORDS__ADD_REQUEST__INIT;
    int failed = 0;
    for (size_t i = 0; i < text->n_words && !failed; i++) {
        failed = wait_for_room(&run, false);
        int rc = failed ? 0 : word_add_ask_begin(client, qk_ref(text->words[i]), &request, on_added, &run);
        if (rc < 0)
            failed = demo_fail(rc, "%s", qk_client_error(client));
        if (i % 1000 == 0)
            demo_progress("words counted", i, text->n_words);
    }
    failed = finish(&run, failed);
    if (!failed)
        demo_progress("words counted", run.done, text->n_words);
    return failed;
}

struct asked {
    struct run *run;
    uint32_t *count;
};

static void on_count(void *arg, const struct qk_reply *reply)
{
    struct asked *asked = arg;
    note(asked->run, reply);
    Words__Count *count = word_get_ask_reply(reply);
    if (count != NULL)
        *asked->count = count->count;
    words__count__free_unpacked(count, NULL);
}

/* What every actor has counted. */
static int ask_all(struct qk_client *client, struct text *text)
{
    struct run run = {.client = client};
    const Words__GetRequest request = WORDS__GET_REQUEST__INIT;
    struct asked *asked = calloc(text->n_distinct + 1, sizeof(*asked));
    if (asked == NULL)
        return demo_fail(0, "no memory");
    int failed = 0;
    for (size_t i = 0; i < text->n_distinct && !failed; i++) {
        asked[i] = (struct asked){&run, &text->counts[i]};
        failed = wait_for_room(&run, false);
        int rc = failed ? 0 : word_get_ask_begin(client, qk_ref(text->distinct[i]), &request, on_count, &asked[i]);
        if (rc < 0)
            failed = demo_fail(rc, "%s", qk_client_error(client));
    }
    failed = finish(&run, failed);
    free(asked);
    return failed;
}

static int write_totals(const struct text *text, const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return demo_fail(0, "can't write %s: %m", path);
    for (size_t i = 0; i < text->n_distinct; i++)
        fprintf(out, "%u %s\n", text->counts[i], text->distinct[i]);
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    return failed ? demo_fail(0, "can't write %s: %m", path) : 0;
}

/* The ranking is an actor too: it asks the words in parallel. */
static int print_top(struct qk_client *client, const struct text *text, unsigned top)
{
    Words__TopRequest request = WORDS__TOP_REQUEST__INIT;
    request.limit = top;
    request.n_words = text->n_distinct;
    request.words = text->distinct;
    Words__TopReply *reply;
    int rc = ranking_top_ask(client, qk_ref("demo"), &request, &reply);
    if (rc < 0)
        return demo_fail(rc, "%s", qk_client_error(client));
    for (size_t i = 0; i < reply->n_top; i++)
        printf("    %6u  %s\n", reply->top[i]->count, reply->top[i]->word);
    int failed = 0;
    if (reply->total != text->n_words)
        failed = demo_fail(0, "the actors counted %llu words, the text has %zu", (unsigned long long)reply->total,
                           text->n_words);
    words__top_reply__free_unpacked(reply, NULL);
    return failed;
}

int demo_words(unsigned top, const char *totals)
{
    struct text text = {0};
    if (text_read(&text) != 0)
        return 1;
    struct qk_client *client = demo_connect();
    int failed = client == NULL;
    double start = demo_seconds();
    if (!failed)
        failed = feed(client, &text);
    double seconds = demo_seconds() - start;
    if (!failed) {
        printf("  %zu words, %zu of them distinct: one call each, %.0f calls a second\n", text.n_words, text.n_distinct,
               (double)text.n_words / seconds);
        printf("  the %u most frequent:\n", top);
        failed = print_top(client, &text, top);
    }
    if (!failed)
        failed = ask_all(client, &text);
    if (!failed)
        failed = write_totals(&text, totals);
    qk_client_destroy(client);
    text_finish(&text);
    return failed;
}
