/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes code and runs it. */
#include "hostile.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __x86_64__
static const unsigned char code[] = {0xb8, 1, 0, 0, 0, 0xc3}; /* return 1 */
#else
static const unsigned int code[] = {0x52800020, 0xd65f03c0};
#endif

int attack(struct qk_turn *t)
{
    (void)t;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            return -errno;
    }
    memcpy(page, code, sizeof(code));
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0)
        return -errno;
    __builtin___clear_cache(page, (char *)page + sizeof(code));
    int (*run)(void);
    memcpy(&run, &page, sizeof(run));
    return run() == 1 ? 0 : -EFAULT;
}
