/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the text of one setting to the value of its key, with what to say when it is not one. One thread at a time. */
#ifndef QK_MAIN_CONVERT_H
#define QK_MAIN_CONVERT_H

#include "main/config.h"

/* Why a value is refused. */
struct qk_objection {
    const char *code;
    char message[200];
    char label[160]; /* "": none */
    char help[240];  /* likewise */
};

/* Fills ret_value->number or ret_value->text. 0, -EINVAL with the reason, -ENOMEM. */
int qk_convert_text(const struct qk_key *key, const char *text, struct qk_value *ret_value,
                    struct qk_objection *ret_why);
int qk_convert_number(const struct qk_key *key, int64_t number, struct qk_value *ret_value,
                      struct qk_objection *ret_why);

/* Whether `text` may be an element of the list. 0 or -EINVAL with the reason. */
int qk_convert_element(const struct qk_key *key, const char *text, struct qk_objection *ret_why);

/* The value is of another kind than the key: `found` says which. Always -EINVAL. */
int qk_convert_wrong(const struct qk_key *key, const char *found, struct qk_objection *ret_why);

#endif
