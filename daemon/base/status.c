/* SPDX-License-Identifier: Apache-2.0 */
/* Names and sentences for status codes, from the one table. */
#include "base/status.h"

#include <stddef.h>
#include <string.h>

#define ERRNO_LIMIT 4096 /* the kernel's */

struct entry {
    int status;
    const char *name;
    const char *text;
    bool retry;
    bool may_have_run;
};

static const struct entry table[] = {
#define ENTRY(name, value, text, retry, may_have_run) {value, #name, text, retry, may_have_run},
    QK_STATUS_MAP(ENTRY)
#undef ENTRY
};

static const struct entry *find(int status)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status)
            return &table[i];
    }
    return NULL;
}

const char *qk_status_name(int status)
{
    if (status >= 0)
        return "QK_OK";
    const struct entry *e = find(status);
    if (e != NULL)
        return e->name;
    if (qk_is_app(status))
        return "application";
    const char *name = status > -ERRNO_LIMIT ? strerrorname_np(-status) : NULL;
    return name != NULL ? name : "unknown";
}

const char *qk_status_text(int status)
{
    if (status >= 0)
        return "success";
    const struct entry *e = find(status);
    if (e != NULL)
        return e->text;
    if (qk_is_app(status))
        return "the actor refused";
    const char *text = status > -ERRNO_LIMIT ? strerrordesc_np(-status) : NULL;
    return text != NULL ? text : "unknown status";
}

bool qk_status_retry_helps(int status)
{
    const struct entry *e = find(status);
    return e != NULL && e->retry;
}

bool qk_status_may_have_run(int status)
{
    const struct entry *e = find(status);
    return status < 0 && (e == NULL || e->may_have_run);
}
