/* json_rivals.cc -- calls into simdjson (a C++ library) and jansson; SIMDJSON_FORCE_IMPLEMENTATION=haswell|icelake|... chooses */
#include "json_rivals.h"

#include <jansson.h>
#include <simdjson.h>

#include <string>

int rival_simdjson(const char *text, size_t n)
{
    static simdjson::dom::parser parser;
    simdjson::dom::element root;

    return parser.parse(text, n, /* realloc_if_needed= */ false).get(root) == simdjson::SUCCESS;
}

size_t rival_simdjson_padding(void)
{
    return simdjson::SIMDJSON_PADDING;
}

const char *rival_simdjson_name(void)
{
    static std::string name = simdjson::get_active_implementation()->name();

    return name.c_str();
}

int rival_jansson(const char *text, size_t n)
{
    json_error_t error;
    json_t *root = json_loadb(text, n, 0, &error);

    if (!root)
        return 0;
    json_decref(root);
    return 1;
}
