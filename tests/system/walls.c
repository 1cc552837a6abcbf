/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goes inside the sandbox of plugins, in place of the daemon under the daemon's own unit, and looks whether it holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>
#include "host/sandbox.h"

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return EXIT_FAILURE;
}

int main(void)
{
    static const int keep[] = {1, 2};
    const struct qk_sandbox_spec spec = {
        .keep = keep, .n_keep = 2, .memory_max = 64 << 20, .files_max = 32, .tasks_max = 64, .nice = 5};
    char why[QK_SANDBOX_WHY_MAX];
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0)
        return fail("before", "even outside nothing can be opened");
    if (qk_sandbox_supported(why, sizeof(why)) < 0)
        return fail("supported", why);
    if (qk_sandbox_enter(&spec, why, sizeof(why)) < 0)
        return fail("enter", why);
    if (qk_sandbox_close(why, sizeof(why)) < 0)
        return fail("close", why);
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return fail("inside", "a file can be opened");
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EACCES)
        return fail("inside", "a socket can be made");
    puts("the walls stand under the unit's own");
    return EXIT_SUCCESS;
}
