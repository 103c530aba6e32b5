/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/base/test_cipher.c: which files are keys, what opens with one, and that nothing else does.
 */
#include "runtime/base/cipher.h"
#include "tests/kit.h"

#include <ctype.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 100

static kit_directory directory;
static qn_error error;
static qn_cipher *cipher;
static uint8_t key[QN_KEY_FILE_BYTES];

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * 7);
    kit_assert_ok(qn_cipher_create(key, &cipher, &error), &error);
}

static void tear_down(void)
{
    qn_cipher_destroy(cipher);
    qn_cipher_destroy(NULL);
    kit_remove_directory(&directory);
}

static const char *write_key(const void *data, size_t bytes, mode_t mode)
{
    const char *path = kit_path(&directory, "key");
    chmod(path, 0600);
    kit_write_file(path, data, bytes);
    ck_assert_int_eq(chmod(path, mode), 0);
    return path;
}

static void check_same(const char *path)
{
    qn_cipher *other = NULL;
    kit_assert_ok(qn_cipher_load(path, &other, &error), &error);
    ck_assert_uint_eq(qn_cipher_get_number(other), qn_cipher_get_number(cipher));
    qn_cipher_destroy(other);
}

static void check_refused(const char *path, const char *why)
{
    qn_cipher *other = NULL;
    qn_error_clear(&error);
    ck_assert_int_eq(qn_cipher_load(path, &other, &error), QUERN_ERROR_INVALID_OPTION);
    ck_assert_msg(strstr(error.text, path) && strstr(error.text, why), "%s", error.text);
    ck_assert_ptr_null(other);
}

START_TEST(a_key_is_32_bytes_or_64_digits_in_a_file_of_its_owner_only)
{
    char text[2 * sizeof key + 3];
    sodium_bin2hex(text, 2 * sizeof key + 1, key, sizeof key);
    check_same(write_key(key, sizeof key, 0600));
    check_same(write_key(key, sizeof key, 0400));
    check_same(write_key(text, 2 * sizeof key, 0600));
    strcat(text, "\n");
    check_same(write_key(text, 2 * sizeof key + 1, 0600));
    for (char *at = text; *at; at++)
        *at = (char)toupper(*at);
    check_same(write_key(text, 2 * sizeof key + 1, 0600));
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
    char text[2 * sizeof key + 3];
    sodium_bin2hex(text, 2 * sizeof key + 1, key, sizeof key);
    strcat(text, "\n\n");
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        check_refused(write_key(key, sizeof key, modes[i]), "by others");
    for (size_t bytes = 0; bytes < sizeof text; bytes++)
        if (bytes != 32 && bytes != 64 && bytes != 65)
            check_refused(write_key(text, bytes, 0600), "not a key");
    text[5] = 'g';
    check_refused(write_key(text, 64, 0600), "not a key");
    text[5] = 0;
    check_refused(write_key(text, 64, 0600), "not a key");
    check_refused(directory.path, "is not a file");
    check_refused("/dev/zero", "is not a file");
    check_refused("/nonexistent", "cannot open");
    const char *pipe = kit_path(&directory, "pipe");
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    check_refused(pipe, "is not a file");
}
END_TEST

START_TEST(what_was_sealed_opens_and_is_not_to_be_seen)
{
    uint8_t data[DATA_BYTES], sealed[DATA_BYTES];
    qn_seal seal, again;
    memset(data, 'x', sizeof data);
    memcpy(sealed, data, sizeof data);
    qn_cipher_seal(cipher, "about", 5, sealed, sizeof sealed, &seal);
    ck_assert_ptr_null(memmem(sealed, sizeof sealed, "xxx", 3));
    ck_assert(qn_cipher_open(cipher, "about", 5, sealed, sizeof sealed, &seal));
    ck_assert_mem_eq(data, sealed, sizeof data);
    qn_cipher_seal(cipher, "about", 5, sealed, sizeof sealed, &again);
    ck_assert_int_ne(memcmp(again.nonce, seal.nonce, sizeof seal.nonce), 0);
}
END_TEST

static bool opens(const qn_cipher *with, const char *about, const uint8_t *sealed, const qn_seal *seal)
{
    uint8_t copy[DATA_BYTES];
    memcpy(copy, sealed, sizeof copy);
    return qn_cipher_open(with, about, strlen(about), copy, sizeof copy, seal);
}

START_TEST(nothing_else_opens)
{
    uint8_t sealed[DATA_BYTES] = "hidden", other_key[sizeof key];
    qn_seal seal;
    qn_cipher *other = NULL;
    memcpy(other_key, key, sizeof key);
    other_key[31] ^= 1;
    kit_assert_ok(qn_cipher_create(other_key, &other, &error), &error);
    ck_assert_uint_ne(qn_cipher_get_number(other), qn_cipher_get_number(cipher));
    qn_cipher_seal(cipher, "about", 5, sealed, sizeof sealed, &seal);
    ck_assert(opens(cipher, "about", sealed, &seal));
    ck_assert(!opens(other, "about", sealed, &seal));
    ck_assert(!opens(cipher, "abouT", sealed, &seal));
    ck_assert(!opens(cipher, "abou", sealed, &seal));
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(!opens(cipher, "about", sealed, &seal));
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof seal; bit++) {
        ((uint8_t *)&seal)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(!opens(cipher, "about", sealed, &seal));
        ((uint8_t *)&seal)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    qn_cipher_destroy(other);
}
END_TEST

/* Of libsodium's documented functions only, and not of ours: what is on disk today must be readable tomorrow. */
START_TEST(the_keys_are_derived_as_they_were)
{
    uint8_t derived[32], data[DATA_BYTES] = "hidden", signature[16];
    char line[] = "line";
    qn_seal seal;
    qn_cipher_seal(cipher, "about", 5, data, sizeof data, &seal);
    crypto_kdf_derive_from_key(derived, sizeof derived, 1, "QuernKey", key);
    ck_assert_int_eq(crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
                         data, NULL, data, sizeof data, seal.tag, (const uint8_t *)"about", 5, seal.nonce, derived),
                     0);
    ck_assert_str_eq((const char *)data, "hidden");
    crypto_kdf_derive_from_key(derived, sizeof derived, 2, "QuernKey", key);
    uint8_t text[16 + sizeof line] = {0};
    memcpy(text + 16, line, sizeof line);
    crypto_generichash(signature, sizeof signature, text, sizeof text, derived, sizeof derived);
    qn_stamp stamp = qn_cipher_sign(cipher, (qn_stamp){0}, line, sizeof line);
    ck_assert_mem_eq(stamp.bytes, signature, sizeof signature);
    ck_assert_int_ne(memcmp(qn_cipher_sign(cipher, stamp, line, sizeof line).bytes, signature, sizeof signature), 0);
}
END_TEST

START_TEST(stamps_differ_and_come_back_from_text)
{
    qn_stamp stamp = qn_cipher_make_stamp(), other = qn_cipher_make_stamp(), parsed = {0};
    char digits[2 * QN_STAMP_BYTES + 2];
    ck_assert_mem_ne(stamp.bytes, other.bytes, sizeof stamp);
    qn_stamp_print(&stamp, digits);
    ck_assert(qn_stamp_parse(digits, &parsed));
    ck_assert_mem_eq(stamp.bytes, parsed.bytes, sizeof stamp);
    ck_assert(!qn_stamp_parse(digits + 1, &parsed));
    ck_assert(!qn_stamp_parse("", &parsed));
    strcat(digits, "0");
    ck_assert(!qn_stamp_parse(digits, &parsed));
    digits[2 * QN_STAMP_BYTES] = 0;
    digits[3] = 'x';
    ck_assert(!qn_stamp_parse(digits, &parsed));
}
END_TEST

/* A child that looks at them ends by a signal, without a core. */
START_TEST(the_keys_are_not_in_children)
{
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGSEGV, SIG_DFL);
        _exit(qn_cipher_get_number(cipher) != 0);
    }
    int ended = 0;
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert(WIFSIGNALED(ended) || KIT_SANITIZED);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_key_is_32_bytes_or_64_digits_in_a_file_of_its_owner_only,
        what_is_no_key_is_refused,
        what_was_sealed_opens_and_is_not_to_be_seen,
        nothing_else_opens,
        the_keys_are_derived_as_they_were,
        stamps_differ_and_come_back_from_text,
        the_keys_are_not_in_children,
    };
    return kit_run_tests("cipher", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
