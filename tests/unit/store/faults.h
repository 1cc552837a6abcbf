/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk that fails: SQLite's own system interface with faults put in front. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>

/* Makes the failing system interface SQLite's default. Before any file is open. */
void faults_install(void);

/* Every kth write, synchronisation and change of size fails with an error of the device; 0: none. Any thread. */
void faults_every(unsigned k);

/* Writes fail for want of room, until it is false again. Any thread. */
void faults_full(bool full);

/* How many synchronisations there have been. */
unsigned faults_syncs(void);

#endif
