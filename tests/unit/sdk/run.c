/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running protoc with the generator in a directory of the test's own. */
#include "run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char directory[] = "/tmp/quark-sdk-XXXXXX";

void run_init(int argc, char **argv)
{
    static const char *const names[] = {"GENERATOR", "SOURCES", "SDK", "PROTO"};
    if (argc != 5) {
        fprintf(stderr, "usage: %s GENERATOR SOURCES SDK PROTO\n", argv[0]);
        exit(2);
    }
    for (int i = 0; i < 4; i++) {
        char *path = realpath(argv[i + 1], NULL); /* commands run in another directory */
        if (path == NULL) {
            perror(argv[i + 1]);
            exit(2);
        }
        setenv(names[i], path, 1);
        free(path);
    }
    char protoc[4096];
    snprintf(protoc, sizeof(protoc), "protoc --plugin=protoc-gen-quark=%s -I. -I%s -I/usr/include", getenv("GENERATOR"),
             getenv("PROTO"));
    setenv("PROTOC", protoc, 1);
    if (mkdtemp(directory) == NULL) {
        perror(directory);
        exit(1);
    }
}

void run_finish(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    if (system(command) != 0)
        fprintf(stderr, "%s is left\n", directory);
}

static void path_of(char *to, size_t size, const char *name)
{
    snprintf(to, size, "%s%s%s", *name == '/' ? "" : directory, *name == '/' ? "" : "/", name);
}

void run_write(const char *name, const char *text)
{
    char path[4096];
    path_of(path, sizeof(path), name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static char *read_all(FILE *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(to);
    for (int c = fgetc(f); c != EOF; c = fgetc(f))
        fputc(c, to);
    fclose(to);
    return text;
}

char *run_read(const char *name)
{
    char path[4096];
    path_of(path, sizeof(path), name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return NULL;
    char *text = read_all(f);
    fclose(f);
    return text;
}

int run_command(const char *command, char **ret_output)
{
    char line[8192];
    snprintf(line, sizeof(line), "cd %s && { %s\n} 2>&1", directory, command);
    FILE *f = popen(line, "r");
    ck_assert_ptr_nonnull(f);
    *ret_output = read_all(f);
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void run_ok(const char *command)
{
    char *output;
    int rc = run_command(command, &output);
    ck_assert_msg(rc == 0, "%s\n%s", command, output);
    free(output);
}
