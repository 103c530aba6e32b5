/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/cipher.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "runtime/base/pages.h"

#define KEY_CONTEXT   "QuernKey" /* of all keys that are derived */
#define TEXT_BYTES    (2 * QN_KEY_FILE_BYTES)
#define FILE_BYTES    (TEXT_BYTES + 2) /* digits and the end of a line, and one byte more, which must not be there */
#define FORBIDDEN     (S_IRWXG | S_IRWXO)
#define ALGORITHM(of) crypto_aead_xchacha20poly1305_ietf_##of

struct qn_cipher {
    uint8_t data[ALGORITHM(KEYBYTES)];
    uint8_t lines[crypto_generichash_KEYBYTES];
    uint64_t number;
};

/* Which of the derived keys; frozen. */
enum { DATA_KEY = 1, LINES_KEY, NUMBER_KEY };

static_assert(QN_KEY_FILE_BYTES == crypto_kdf_KEYBYTES, "the key in a file is one to derive from");
static_assert(sizeof KEY_CONTEXT - 1 == crypto_kdf_CONTEXTBYTES, "of libsodium");
static_assert(sizeof((qn_seal *)0)->nonce == ALGORITHM(NPUBBYTES) && sizeof((qn_seal *)0)->tag == ALGORITHM(ABYTES),
              "a seal is what the algorithm takes");
static_assert(sizeof(qn_stamp) >= crypto_generichash_BYTES_MIN, "a stamp may be a signature");

/* The page, or pages, that libsodium took for it. */
void qn_cipher_share(const qn_cipher *cipher, bool with_children)
{
    if (!cipher)
        return;
    uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)cipher & ~(page_bytes - 1), end = (uintptr_t)cipher + sizeof *cipher;
    size_t bytes = (end - first + page_bytes - 1) & ~(page_bytes - 1);
    (void)madvise((void *)first, bytes, with_children ? MADV_DOFORK : MADV_DONTFORK);
}

quern_status qn_cipher_create(const uint8_t key[QN_KEY_FILE_BYTES], qn_cipher **cipher_out, qn_error *error)
{
    if (sodium_init() < 0)
        return qn_error_set(error, QUERN_ERROR_SYSTEM, 0, "encrypt: libsodium cannot be used");
    qn_cipher *cipher = sodium_malloc(sizeof *cipher);
    if (!cipher)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a key");
    qn_cipher_share(cipher, false);
    crypto_kdf_derive_from_key(cipher->data, sizeof cipher->data, DATA_KEY, KEY_CONTEXT, key);
    crypto_kdf_derive_from_key(cipher->lines, sizeof cipher->lines, LINES_KEY, KEY_CONTEXT, key);
    uint8_t number[crypto_kdf_BYTES_MIN];
    crypto_kdf_derive_from_key(number, sizeof number, NUMBER_KEY, KEY_CONTEXT, key);
    memcpy(&cipher->number, number, sizeof cipher->number);
    cipher->number |= 1;
    sodium_mprotect_readonly(cipher);
    *cipher_out = cipher;
    return QUERN_OK;
}

void qn_cipher_destroy(qn_cipher *cipher)
{
    sodium_free(cipher); /* and wiped */
}

static quern_status refuse(const char *path, const char *why, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "encrypt: %s %s", path, why);
}

static quern_status check_file(int fd, const char *path, qn_error *error)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, errno, "encrypt: cannot look at %s", path);
    if (!S_ISREG(about.st_mode))
        return refuse(path, "is not a file", error);
    if (about.st_mode & FORBIDDEN)
        return refuse(path, "can be used by others: make it readable by its owner only (chmod 600)", error);
    return QUERN_OK;
}

/* False: it is no key. */
static bool parse_key(const uint8_t *text, size_t bytes, uint8_t key[QN_KEY_FILE_BYTES])
{
    size_t key_bytes = 0;
    if (bytes == QN_KEY_FILE_BYTES) {
        memcpy(key, text, bytes);
        return true;
    }
    if (bytes == TEXT_BYTES + 1 && text[TEXT_BYTES] == '\n')
        bytes--;
    const char *end = NULL;
    return bytes == TEXT_BYTES &&
           sodium_hex2bin(key, QN_KEY_FILE_BYTES, (const char *)text, bytes, NULL, &key_bytes, &end) == 0 &&
           key_bytes == QN_KEY_FILE_BYTES && end == (const char *)text + bytes;
}

static quern_status read_key(int fd, const char *path, qn_cipher **cipher_out, qn_error *error)
{
    uint8_t text[FILE_BYTES], key[QN_KEY_FILE_BYTES];
    size_t bytes = 0;
    (void)sodium_mlock(text, sizeof text);
    (void)sodium_mlock(key, sizeof key);
    quern_status status = qn_file_read_at(fd, text, sizeof text, 0, path, QUERN_ERROR_INVALID_OPTION, &bytes, error);
    if (status == QUERN_OK && !parse_key(text, bytes, key))
        status = refuse(path, "is not a key: 32 bytes or 64 hexadecimal digits", error);
    if (status == QUERN_OK)
        status = qn_cipher_create(key, cipher_out, error);
    (void)sodium_munlock(text, sizeof text); /* and wiped */
    (void)sodium_munlock(key, sizeof key);
    return status;
}

quern_status qn_cipher_load(const char *path, qn_cipher **cipher_out, qn_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe without a writer is refused, too */
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, errno, "encrypt: cannot open %s", path);
    quern_status status = check_file(fd, path, error);
    if (status == QUERN_OK)
        status = read_key(fd, path, cipher_out, error);
    close(fd);
    return status;
}

uint64_t qn_cipher_get_number(const qn_cipher *cipher)
{
    return cipher->number;
}

qn_stamp qn_cipher_make_stamp(void)
{
    qn_stamp stamp;
    randombytes_buf(stamp.bytes, sizeof stamp.bytes);
    return stamp;
}

void qn_stamp_print(const qn_stamp *stamp, char digits[2 * QN_STAMP_BYTES + 1])
{
    sodium_bin2hex(digits, 2 * QN_STAMP_BYTES + 1, stamp->bytes, sizeof stamp->bytes);
}

bool qn_stamp_parse(const char *digits, qn_stamp *stamp_out)
{
    qn_stamp stamp;
    size_t bytes = 0;
    if (strlen(digits) != 2 * QN_STAMP_BYTES ||
        sodium_hex2bin(stamp.bytes, sizeof stamp.bytes, digits, 2 * QN_STAMP_BYTES, NULL, &bytes, NULL) != 0 ||
        bytes != sizeof stamp.bytes)
        return false;
    *stamp_out = stamp;
    return true;
}

void qn_cipher_seal(const qn_cipher *cipher, const void *about, size_t about_bytes, void *data, size_t bytes,
                    qn_seal *seal_out)
{
    randombytes_buf(seal_out->nonce, sizeof seal_out->nonce);
    ALGORITHM(encrypt_detached)
    (data, seal_out->tag, NULL, data, bytes, about, about_bytes, NULL, seal_out->nonce, cipher->data);
}

bool qn_cipher_open(const qn_cipher *cipher, const void *about, size_t about_bytes, void *data, size_t bytes,
                    const qn_seal *seal)
{
    return ALGORITHM(decrypt_detached)(data, NULL, data, bytes, seal->tag, about, about_bytes, seal->nonce,
                                       cipher->data) == 0;
}

qn_stamp qn_cipher_sign(const qn_cipher *cipher, qn_stamp before, const void *data, size_t bytes)
{
    crypto_generichash_state state;
    qn_stamp stamp;
    crypto_generichash_init(&state, cipher->lines, sizeof cipher->lines, sizeof stamp.bytes);
    crypto_generichash_update(&state, before.bytes, sizeof before.bytes);
    crypto_generichash_update(&state, data, bytes);
    crypto_generichash_final(&state, stamp.bytes, sizeof stamp.bytes);
    sodium_memzero(&state, sizeof state);
    return stamp;
}
