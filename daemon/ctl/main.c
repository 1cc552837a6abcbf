/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program quarkctl. */
#include "ctl/ctl.h"

#include <locale.h>
#include "base/standard.h"

int main(int argc, char **argv)
{
    qk_standard_open();
    /* Widths of characters in tables; numbers stay as programs read them. */
    setlocale(LC_CTYPE, "");
    return qk_ctl_main(argc, argv, stdout, stderr);
}
