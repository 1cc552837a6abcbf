/* SPDX-License-Identifier: Apache-2.0 */
/* Values and their JSON forms: numbers, base64, timestamps, durations. Nothing here knows of messages. Any thread. */
#ifndef QK_SCHEMA_SCALAR_H
#define QK_SCHEMA_SCALAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A JSON number that is an integer (1e3 and 5.0 are). False when it is none or its size is past 64 bits (then
 * `ret_range` is set). */
bool qk_scalar_integer(const char *s, size_t size, bool *ret_negative, uint64_t *ret_size, bool *ret_range);

/* A JSON number, or NaN, Infinity, -Infinity. False when it is none, or too large (then `ret_range` is set). */
bool qk_scalar_double(const char *s, size_t size, double *ret_value, bool *ret_range);

/* The shortest text that reads back as the same value; at least 32 bytes of room. The three special values as JSON
 * strings, with quotes. */
void qk_scalar_print_double(double value, char *buf);
void qk_scalar_print_float(float value, char *buf);

/* Bytes of base64, in both alphabets, with padding or without; `out` has room for size * 3 / 4. False: not base64. */
bool qk_scalar_base64(const char *s, size_t size, uint8_t *out, size_t *ret_size);

/* `out` has room for (size + 2) / 3 * 4. How many characters. */
size_t qk_scalar_print_base64(const uint8_t *data, size_t size, char *out);

/* "2024-02-29T12:00:00.5Z"; years 1 to 9999. */
bool qk_scalar_timestamp(const char *s, size_t size, int64_t *ret_seconds, int32_t *ret_nanos);
bool qk_scalar_print_timestamp(int64_t seconds, int32_t nanos, char *buf, size_t buf_size);

/* "-1.5s"; up to 315,576,000,000 seconds either way. */
bool qk_scalar_duration(const char *s, size_t size, int64_t *ret_seconds, int32_t *ret_nanos);
bool qk_scalar_print_duration(int64_t seconds, int32_t nanos, char *buf, size_t buf_size);

/* A path of a field mask: foo_bar.baz to fooBar.baz and back; `out` has room for 2 * size + 1. False where the way
 * back would not give the same path. */
bool qk_scalar_mask_to_json(const char *s, size_t size, char *out, size_t *ret_size);
bool qk_scalar_mask_from_json(const char *s, size_t size, char *out, size_t *ret_size);

#endif
