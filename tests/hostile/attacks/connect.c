/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Talks to somebody outside, or to the daemon's own door. */
#include "hostile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

int attack(struct qk_turn *t)
{
    (void)t;
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un door = {.sun_family = AF_UNIX, .sun_path = "/run/quark/quarkd.sock"};
    int datagrams = socket(AF_INET, SOCK_DGRAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0), raw;
    if (datagrams < 0 && local < 0 && (raw = socket(AF_NETLINK, SOCK_RAW, 0)) < 0)
        return -errno;
    if (datagrams >= 0)
        (void)sendto(datagrams, "secret", 6, 0, (struct sockaddr *)&far, sizeof(far));
    if (local >= 0)
        (void)connect(local, (struct sockaddr *)&door, sizeof(door));
    return 0;
}
