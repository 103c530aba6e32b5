/* SPDX-License-Identifier: BSD-3-Clause */
/* Text and records of one length: the same records in stretches and in pieces. First byte: the format; second: where it is cut. */
#include "tests/fuzz/fuzz_reading.h"

static qn_source_format choose(uint8_t choice)
{
    static const char *const delimiters[] = {"\n", " \n", "a", "\r\n\t ,;:|abcdefg"};
    const char *chosen = delimiters[choice & 3];
    qn_source_format format = {
        .kind = QN_SOURCE_TEXT, .skip_empty = choice & 4, .value = (quern_text_value)(choice >> 3 & 1)};
    qn_delimiters_init(&format.delimiters, chosen, strlen(chosen));
    if (choice >= 0xf0)
        return (qn_source_format){
            .kind = QN_SOURCE_FIXED,
            .layout = {.record_bytes = 1 + (choice & 7), .key_bytes = 1, .header_bytes = choice >> 3 & 1}};
    return format;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_input content = {data, bytes};
    qn_source_format format = choose(fuzz_take(&content));
    uint64_t seed = fuzz_take(&content);
    fuzz_check_cuts(&format, &content, seed, true, false);
    return 0;
}
