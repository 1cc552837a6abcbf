/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Feeds files, or all files of directories, to a fuzz target: the corpus as a plain test, without libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include "fuzz.h"

static unsigned n_files;

static void feed(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &st) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1); /* exactly as large, so that a sanitizer sees what reads past it */
    if (data == NULL || fread(data, 1, size, file) != size) {
        fprintf(stderr, "%s: can't be read\n", path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    n_files++;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void feed_all(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, by_name);
    if (n < 0) {
        feed(path);
        return;
    }
    for (int i = 0; i < n; i++) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            feed(file);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", argv[0]);
        return 2;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        feed_all(argv[i]);
    printf("%u files\n", n_files);
    return n_files > 0 ? 0 : 1;
}
