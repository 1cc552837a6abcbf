/* SPDX-License-Identifier: Apache-2.0 */
/* JSON forms of numbers, bytes, points in time, lengths of time, and paths of fields. */
#include "schema/scalar.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX  315576000000ll
#define TIMESTAMP_MIN (-62135596800ll) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX 253402300799ll   /* 9999-12-31T23:59:59Z */
#define EXPONENT_MAX  100000

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The parts of a JSON number. */
struct number {
    bool negative;
    const char *whole;
    size_t whole_size;
    const char *fraction;
    size_t fraction_size;
    int exponent;
};

static size_t digits(const char **at, const char *end)
{
    const char *start = *at;
    while (*at < end && is_digit(**at))
        ++*at;
    return (size_t)(*at - start);
}

static bool split_number(const char *s, size_t size, struct number *n)
{
    const char *end = s + size;
    *n = (struct number){.negative = size > 0 && *s == '-'};
    s += n->negative;
    n->whole = s;
    n->whole_size = digits(&s, end);
    if (n->whole_size == 0 || (n->whole_size > 1 && n->whole[0] == '0'))
        return false;
    if (s < end && *s == '.') {
        n->fraction = ++s;
        n->fraction_size = digits(&s, end);
        if (n->fraction_size == 0)
            return false;
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        s++;
        bool down = s < end && *s == '-';
        if (s < end && (*s == '-' || *s == '+'))
            s++;
        const char *first = s;
        if (digits(&s, end) == 0)
            return false;
        for (; first < s && n->exponent < EXPONENT_MAX; first++)
            n->exponent = n->exponent * 10 + (*first - '0');
        if (down)
            n->exponent = -n->exponent;
    }
    return s == end;
}

static char digit_at(const struct number *n, size_t i)
{
    return i < n->whole_size ? n->whole[i] : n->fraction[i - n->whole_size];
}

bool qk_scalar_integer(const char *s, size_t size, bool *ret_negative, uint64_t *ret_size, bool *ret_range)
{
    struct number n;
    *ret_range = false;
    if (!split_number(s, size, &n))
        return false;
    size_t count = n.whole_size + n.fraction_size;
    while (count > 0 && digit_at(&n, count - 1) == '0')
        count--;
    /* What is left behind the last digit that isn't zero. */
    int64_t zeros = (int64_t)n.whole_size + n.exponent - (int64_t)count;
    uint64_t value = 0;
    if (count > 0 && zeros < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_mul_overflow(value, 10ull, &value) ||
            __builtin_add_overflow(value, (uint64_t)(digit_at(&n, i) - '0'), &value))
            goto too_large;
    }
    for (int64_t i = 0; value != 0 && i < zeros; i++) {
        if (__builtin_mul_overflow(value, 10ull, &value))
            goto too_large;
    }
    *ret_negative = n.negative && value != 0;
    *ret_size = value;
    return true;
too_large:
    *ret_range = true;
    return false;
}

bool qk_scalar_double(const char *s, size_t size, double *ret_value, bool *ret_range)
{
    static const struct {
        const char *name;
        double value;
    } special[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    *ret_range = false;
    for (int i = 0; i < 3; i++) {
        if (size == strlen(special[i].name) && memcmp(s, special[i].name, size) == 0) {
            *ret_value = special[i].value;
            return true;
        }
    }
    struct number n;
    if (!split_number(s, size, &n))
        return false;
    char small[64];
    char *copy = size < sizeof(small) ? small : strndup(s, size);
    if (copy == NULL)
        return false;
    if (copy == small) {
        memcpy(small, s, size);
        small[size] = '\0';
    }
    *ret_value = strtod(copy, NULL);
    if (copy != small)
        free(copy);
    *ret_range = isinf(*ret_value) != 0;
    return !*ret_range;
}

static bool print_special(double value, char *buf)
{
    if (isfinite(value))
        return false;
    strcpy(buf, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return true;
}

void qk_scalar_print_double(double value, char *buf)
{
    if (print_special(value, buf))
        return;
    for (int precision = DBL_DIG; precision <= DBL_DIG + 2; precision++) {
        snprintf(buf, 32, "%.*g", precision, value);
        if (strtod(buf, NULL) == value)
            return;
    }
}

void qk_scalar_print_float(float value, char *buf)
{
    if (print_special((double)value, buf))
        return;
    for (int precision = FLT_DIG; precision <= FLT_DIG + 3; precision++) {
        snprintf(buf, 32, "%.*g", precision, (double)value);
        if (strtof(buf, NULL) == value)
            return;
    }
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (is_digit(c))
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool qk_scalar_base64(const char *s, size_t size, uint8_t *out, size_t *ret_size)
{
    size_t n = 0;
    if (size % 4 == 0 && size > 0 && s[size - 1] == '=')
        size -= s[size - 2] == '=' ? 2 : 1;
    if (size % 4 == 1)
        return false;
    uint32_t bits = 0;
    for (size_t i = 0; i < size; i++) {
        int six = sextet(s[i]);
        if (six < 0)
            return false;
        bits = bits << 6 | (uint32_t)six;
        if (i % 4 != 0)
            out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *ret_size = n;
    return true;
}

size_t qk_scalar_print_base64(const uint8_t *data, size_t size, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)data[i] << 16;
        bits |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
        bits |= left > 2 ? data[i + 2] : 0u;
        out[n++] = alphabet[bits >> 18];
        out[n++] = alphabet[bits >> 12 & 63];
        out[n++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        out[n++] = left > 2 ? alphabet[bits & 63] : '=';
    }
    return n;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar: years begin in March, so that leap days are last. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

/* Exactly `n` digits. */
static bool take_digits(const char **at, const char *end, int n, int *ret_value)
{
    *ret_value = 0;
    for (; n > 0; n--, ++*at) {
        if (*at == end || !is_digit(**at))
            return false;
        *ret_value = *ret_value * 10 + (**at - '0');
    }
    return true;
}

static bool take(const char **at, const char *end, char c)
{
    if (*at == end || **at != c)
        return false;
    ++*at;
    return true;
}

/* ".5" as nanoseconds, up to nine digits; nothing is 0. */
static bool take_fraction(const char **at, const char *end, int32_t *ret_nanos)
{
    *ret_nanos = 0;
    if (!take(at, end, '.'))
        return true;
    const char *start = *at;
    size_t n = digits(at, end);
    if (n == 0 || n > 9)
        return false;
    for (size_t i = 0; i < 9; i++)
        *ret_nanos = *ret_nanos * 10 + (i < n ? start[i] - '0' : 0);
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool qk_scalar_timestamp(const char *s, size_t size, int64_t *ret_seconds, int32_t *ret_nanos)
{
    const char *end = s + size;
    int year, month, day, hour, minute, second, off_hour = 0, off_minute = 0, sign = 0;
    if (!take_digits(&s, end, 4, &year) || !take(&s, end, '-') || !take_digits(&s, end, 2, &month) ||
        !take(&s, end, '-') || !take_digits(&s, end, 2, &day) || !take(&s, end, 'T') ||
        !take_digits(&s, end, 2, &hour) || !take(&s, end, ':') || !take_digits(&s, end, 2, &minute) ||
        !take(&s, end, ':') || !take_digits(&s, end, 2, &second) || !take_fraction(&s, end, ret_nanos))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return false;
    if (!take(&s, end, 'Z')) {
        sign = take(&s, end, '+') ? 1 : take(&s, end, '-') ? -1 : 0;
        if (sign == 0 || !take_digits(&s, end, 2, &off_hour) || !take(&s, end, ':') ||
            !take_digits(&s, end, 2, &off_minute) || off_hour > 23 || off_minute > 59)
            return false;
    }
    *ret_seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
                   sign * (off_hour * 3600 + off_minute * 60);
    return s == end && *ret_seconds >= TIMESTAMP_MIN && *ret_seconds <= TIMESTAMP_MAX;
}

/* Nothing, or a point and three, six or nine digits. */
static void print_fraction(int32_t nanos, char *buf, size_t buf_size)
{
    if (nanos == 0)
        snprintf(buf, buf_size, "%s", "");
    else if (nanos % 1000000 == 0)
        snprintf(buf, buf_size, ".%03d", nanos / 1000000);
    else if (nanos % 1000 == 0)
        snprintf(buf, buf_size, ".%06d", nanos / 1000);
    else
        snprintf(buf, buf_size, ".%09d", nanos);
}

bool qk_scalar_print_timestamp(int64_t seconds, int32_t nanos, char *buf, size_t buf_size)
{
    if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX || nanos < 0 || nanos > 999999999)
        return false;
    int64_t days = (seconds >= 0 ? seconds : seconds - 86399) / 86400;
    int of_day = (int)(seconds - days * 86400);
    int64_t year;
    int month, day;
    char fraction[16];
    date_of(days, &year, &month, &day);
    print_fraction(nanos, fraction, sizeof(fraction));
    snprintf(buf, buf_size, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", (int)year, month, day, of_day / 3600, of_day / 60 % 60,
             of_day % 60, fraction);
    return true;
}

bool qk_scalar_duration(const char *s, size_t size, int64_t *ret_seconds, int32_t *ret_nanos)
{
    const char *end = s + size;
    bool negative = take(&s, end, '-');
    const char *start = s;
    size_t n = digits(&s, end);
    if (n == 0 || n > 12)
        return false;
    *ret_seconds = 0;
    for (; n > 0; n--)
        *ret_seconds = *ret_seconds * 10 + (*start++ - '0');
    if (!take_fraction(&s, end, ret_nanos) || !take(&s, end, 's') || s != end || *ret_seconds > DURATION_MAX)
        return false;
    if (negative) {
        *ret_seconds = -*ret_seconds;
        *ret_nanos = -*ret_nanos;
    }
    return true;
}

bool qk_scalar_print_duration(int64_t seconds, int32_t nanos, char *buf, size_t buf_size)
{
    if (seconds < -DURATION_MAX || seconds > DURATION_MAX || nanos < -999999999 || nanos > 999999999 ||
        (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return false;
    char fraction[16];
    bool negative = seconds < 0 || nanos < 0;
    print_fraction(negative ? -nanos : nanos, fraction, sizeof(fraction));
    snprintf(buf, buf_size, "%s%lld%ss", negative ? "-" : "", (long long)(negative ? -seconds : seconds), fraction);
    return true;
}

bool qk_scalar_mask_to_json(const char *s, size_t size, char *out, size_t *ret_size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (s[i] >= 'A' && s[i] <= 'Z')
            return false;
        if (s[i] != '_') {
            out[n++] = s[i];
            continue;
        }
        if (++i == size || s[i] < 'a' || s[i] > 'z')
            return false;
        out[n++] = (char)(s[i] - 'a' + 'A');
    }
    *ret_size = n;
    return true;
}

bool qk_scalar_mask_from_json(const char *s, size_t size, char *out, size_t *ret_size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (s[i] == '_')
            return false;
        bool upper = s[i] >= 'A' && s[i] <= 'Z';
        if (upper)
            out[n++] = '_';
        out[n++] = (char)(upper ? s[i] - 'A' + 'a' : s[i]);
    }
    *ret_size = n;
    return true;
}
