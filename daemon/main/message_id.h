/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How a code of the catalogue becomes the journal's MESSAGE_ID: these digits, then the four of the code. `journalctl
 * -x` shows the catalogue's entry for it. */
#ifndef QK_MAIN_MESSAGE_ID_H
#define QK_MAIN_MESSAGE_ID_H

#define QK_MESSAGE_ID_PREFIX "8f3d1c0a6e5b4f7a9b2cd41e7730"

#endif
