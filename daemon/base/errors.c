/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue of errors as an array. */
#include "base/errors.h"

#include <strings.h>

static const struct qk_error catalogue[] = {
#define QK_ERROR(code, title, explain, fix) {code, title, explain, fix},
#include "base/errors/proto.def"
#include "base/errors/config.def"
#include "base/errors/plugin.def"
#include "base/errors/cli.def"
#include "base/errors/call.def"
#include "base/errors/daemon.def"
#undef QK_ERROR
};

const struct qk_error *qk_error_find(const char *code)
{
    for (size_t i = 0; i < sizeof(catalogue) / sizeof(catalogue[0]); i++) {
        if (strcasecmp(catalogue[i].code, code) == 0)
            return &catalogue[i];
    }
    return NULL;
}

const struct qk_error *qk_error_all(size_t *ret_count)
{
    *ret_count = sizeof(catalogue) / sizeof(catalogue[0]);
    return catalogue;
}
