/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What protoc-c includes for `import "quark/options.proto"`: nothing. Annotations are for the generator; they have no
 * counterpart in C.
 */
#ifndef QUARK_OPTIONS_PB_C_H
#define QUARK_OPTIONS_PB_C_H

#include <protobuf-c/protobuf-c.h>

#endif
