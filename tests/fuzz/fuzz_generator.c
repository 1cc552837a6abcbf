/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What protoc writes to protoc-gen-quark. */
#include "fuzz.h"
#include "../../sdk/protoc-gen-quark/gen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *answer = NULL;
    size_t answer_size = 0;
    FILE *in = size > 0 ? fmemopen((void *)data, size, "r") : fopen("/dev/null", "r");
    FILE *out = open_memstream(&answer, &answer_size), *errors = fopen("/dev/null", "w");
    HOLDS(in != NULL && out != NULL && errors != NULL);
    int rc = gen_run(in, out, errors);
    HOLDS(rc == 0 || rc == 1);
    fclose(errors);
    fclose(out);
    fclose(in);
    HOLDS(rc != 0 || answer_size > 0);
    free(answer);
    return 0;
}
