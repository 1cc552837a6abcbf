/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A configuration file's text. */
#include <errno.h>
#include "fuzz.h"
#include "main/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *said = NULL, *text = malloc(size + 1);
    size_t said_size = 0;
    FILE *to = open_memstream(&said, &said_size);
    struct qk_config *config;
    struct qk_report report;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    HOLDS(qk_config_create(&config) == 0);
    qk_report_init(&report, to);
    int rc = qk_config_read_text(config, "quarkd.conf", text, size, &report);
    HOLDS(rc == 0 || rc == -EINVAL);
    HOLDS((rc == 0) == (report.errors == 0));
    if (rc == 0)
        qk_config_show(to, config);
    qk_config_destroy(config);
    fclose(to);
    HOLDS(rc == 0 || said_size > 0);
    free(said);
    return 0;
}
