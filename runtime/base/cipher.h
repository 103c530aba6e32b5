/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/cipher.h: what is written to disk is hidden from, and cannot be changed by, who does not have the key.
 *
 * XChaCha20-Poly1305 under one key of 256 bits, of which libsodium derives one for data and one for lines. Nonces are random: with 192 bits they
 * do not meet however many processes use a key for however long, so nobody has to remember which were used. Each
 * piece is bound to what it is about (its file, its place there): a piece in another's place does not open.
 *
 * Rejected: AES-256-GCM, a quarter faster where the processor has it. Its nonces of 96 bits would have to be counted over all ranks, attempts and jobs
 * with one key, and what one machine wrote another one without AES could not read.
 *
 * The keys lie on a page of their own, which is not swapped out as far as limits allow, is in no core file, and is wiped in the end. It is in no child
 * but one that has to read what is encrypted: qn_cipher_share().
 */
#ifndef QN_BASE_CIPHER_H
#define QN_BASE_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#define QN_KEY_FILE_BYTES ((size_t)32)
#define QN_STAMP_BYTES    ((size_t)16)

typedef struct qn_cipher qn_cipher;

/* What has to be known beside the key to open a piece. */
typedef struct qn_seal {
    uint8_t nonce[24];
    uint8_t tag[16];
} qn_seal;

/* Unpredictable, and different each time: names a file, say. Or a signature. */
typedef struct qn_stamp {
    uint8_t bytes[QN_STAMP_BYTES];
} qn_stamp;

/* Of the key in a file: 32 bytes, or 64 hexadecimal digits. QUERN_ERROR_INVALID_OPTION: it is none, or others may read it; QUERN_ERROR_SYSTEM;
 * QUERN_ERROR_NO_MEMORY. */
quern_status qn_cipher_load(const char *path, qn_cipher **cipher_out, qn_error *error);
/* Of a key, which it copies. */
quern_status qn_cipher_create(const uint8_t key[QN_KEY_FILE_BYTES], qn_cipher **cipher_out, qn_error *error);
void qn_cipher_destroy(qn_cipher *cipher); /* takes NULL */

/* Whether processes that are forked from now on have the keys; at first they do not. Takes NULL. */
void qn_cipher_share(const qn_cipher *cipher, bool with_children);

/* A number that says nothing of the key but whether another one has the same. Never 0. */
uint64_t qn_cipher_get_number(const qn_cipher *cipher);

/* Local, any thread, and so is the rest. */
qn_stamp qn_cipher_make_stamp(void);

/* In hexadecimal digits, and back; false: they are none. */
void qn_stamp_print(const qn_stamp *stamp, char digits[2 * QN_STAMP_BYTES + 1]);
bool qn_stamp_parse(const char *digits, qn_stamp *stamp_out);

/* Encrypts in place. */
void qn_cipher_seal(const qn_cipher *cipher, const void *about, size_t about_bytes, void *data, size_t bytes,
                    qn_seal *seal_out);
/* Decrypts in place; false, and data wiped: it is not what was sealed about the same. */
bool qn_cipher_open(const qn_cipher *cipher, const void *about, size_t about_bytes, void *data, size_t bytes,
                    const qn_seal *seal);
/* The signature of what follows `before`, which is zero or the signature of what came before. */
qn_stamp qn_cipher_sign(const qn_cipher *cipher, qn_stamp before, const void *data, size_t bytes);

#endif
