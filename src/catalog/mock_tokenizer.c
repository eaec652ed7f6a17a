/* catalog/mock_tokenizer.c -- the built-in tokenizer `mock` (spec tokenizers 16.1): fourteen words, for trying the gateway without any file
 *
 * A tokenizer.json like any other: words between white space, each with its id; what is no word of the vocabulary is dropped. WordLevel alone would refuse such words, so the
 * pre-tokenizer keeps none: Split removes all that is not, as a whole, one of the fourteen.
 */
#include "catalog/source.h"

static const char TOKENIZER_JSON[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,"
    "\"added_tokens\":["
    "{\"id\":999,\"content\":\"<eos>\",\"single_word\":true,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":"
    "true},"
    "{\"id\":1000,\"content\":\"<bos>\",\"single_word\":true,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":"
    "true}],"
    "\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":"
    "\"\\\\A(?:Hello|world|test|token|\\\\.|system|user|assistant|<eos>|<bos>|<\\\\|im_start\\\\|>|<\\\\|im_end\\\\|>|<\\\\|eot_"
    "id\\\\|>)\\\\z\"},"
    "\"behavior\":\"Removed\",\"invert\":true}]},"
    "\"post_processor\":null,\"decoder\":null,"
    "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"Hello\":1,\"world\":2,\"test\":3,\"token\":4,\" "
    "\":5,\".\":6,\"system\":7,\"user\":8,"
    "\"assistant\":9,\"<eos>\":999,\"<bos>\":1000,\"<|im_start|>\":1001,\"<|im_end|>\":1002,\"<|eot_id|>\":1003},"
    "\"unk_token\":\"<unk>\"}}";

int mock_tokenizer_load(struct tokenizer **ret, struct err *err)
{
    struct tokenizer_limits limits = TOKENIZER_LIMITS_DEFAULT;
    struct tokenizer_files files = {
        .tokenizer_json = { TOKENIZER_JSON, sizeof TOKENIZER_JSON - 1 },
        .tokenizer_config = STR("{\"bos_token\":\"<bos>\",\"eos_token\":\"<eos>\",\"unk_token\":\"<unk>\"}"),
        .generation_config = STR("{\"eos_token_id\":999}"),
    };

    return tokenizer_load(&files, &limits, ret, err);
}
