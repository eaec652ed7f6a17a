#include "json/json_schema.h"

/* How a scalar is described; min and max count for integers only. */
struct scalar {
    const char *type, *format;
    bool has_range;
    int64_t min;
    uint64_t max;
};

static const struct scalar SCALARS[] = {
    [SHAPE_STR] = { "string", NULL, false, 0, 0 },
    [SHAPE_BOOL] = { "boolean", NULL, false, 0, 0 },
    [SHAPE_U16] = { "integer", NULL, true, 0, UINT16_MAX },
    [SHAPE_U32] = { "integer", NULL, true, 0, UINT32_MAX },
    [SHAPE_U64] = { "integer", "uint64", true, 0, UINT64_MAX },
    [SHAPE_USIZE] = { "integer", "uint64", true, 0, SIZE_MAX },
    [SHAPE_I32] = { "integer", "int32", true, INT32_MIN, INT32_MAX },
    [SHAPE_I64] = { "integer", "int64", true, INT64_MIN, INT64_MAX },
    [SHAPE_F32] = { "number", "float", false, 0, 0 },
    [SHAPE_F64] = { "number", "double", false, 0, 0 },
    [SHAPE_ENUM] = { "string", NULL, false, 0, 0 },
    [SHAPE_OBJECT] = { "object", NULL, false, 0, 0 },
    [SHAPE_ARRAY] = { "array", NULL, false, 0, 0 },
    [SHAPE_STR_MAP] = { "object", NULL, false, 0, 0 },
};

static void put_type(struct json_writer *w, const char *type, unsigned flags)
{
    if (!(flags & SHAPE_NULLABLE)) {
        json_put_str(w, "type", str_of(type));
        return;
    }
    json_put_array(w, "type");
    json_value_str(w, str_of(type));
    json_value_str(w, STR("null"));
    json_end(w);
}

static void put_names(struct json_writer *w, const char *const *names, unsigned flags)
{
    json_put_array(w, "enum");
    for (; *names; names++)
        json_value_str(w, str_of(*names));
    if (flags & SHAPE_NULLABLE)
        json_value_null(w);
    json_end(w);
}

/* The members of a schema that say the type; the caller has opened the object. */
static void put_scalar(struct json_writer *w, enum json_shape_type type, const char *const *names, unsigned flags)
{
    const struct scalar *s = &SCALARS[type];

    if (type == SHAPE_JSON)
        return; /* anything: the empty schema */
    put_type(w, s->type, flags);
    if (s->format)
        json_put_str(w, "format", str_of(s->format));
    if (s->has_range) {
        json_put_i64(w, "minimum", s->min);
        json_put_u64(w, "maximum", s->max);
    }
    if (type == SHAPE_ENUM && names)
        put_names(w, names, flags);
}

static void put_properties(struct json_writer *w, const struct json_shape *shape);

static void put_array(struct json_writer *w, const struct json_shape_field *f)
{
    put_type(w, "array", f->flags);
    json_put_object(w, "items");
    if (f->sub) {
        json_put_str(w, "type", STR("object"));
        put_properties(w, f->sub);
    } else {
        put_scalar(w, f->element, f->names, /* flags= */ 0);
    }
    json_end(w);
}

static void put_field(struct json_writer *w, const struct json_shape_field *f)
{
    json_object(w);
    switch (f->type) {
    case SHAPE_OBJECT:
        put_type(w, "object", f->flags);
        if (f->sub)
            put_properties(w, f->sub);
        break;
    case SHAPE_ARRAY:
        put_array(w, f);
        break;
    case SHAPE_STR_MAP:
        put_type(w, "object", f->flags);
        json_put_object(w, "additionalProperties");
        json_put_str(w, "type", STR("string"));
        json_end(w);
        break;
    default:
        put_scalar(w, f->type, f->names, f->flags);
        break;
    }
    json_end(w);
}

static bool has_required(const struct json_shape *shape)
{
    for (size_t i = 0; i < shape->fields_n; i++)
        if (shape->fields[i].flags & SHAPE_REQUIRED)
            return true;
    return false;
}

static void put_properties(struct json_writer *w, const struct json_shape *shape)
{
    json_put_object(w, "properties");
    for (size_t i = 0; i < shape->fields_n; i++) {
        const struct json_shape_field *f = &shape->fields[i];

        json_key(w, str_of(f->name));
        put_field(w, f);
        if (!f->alias)
            continue;
        json_key(w, str_of(f->alias));
        put_field(w, f);
    }
    json_end(w);
    if (!has_required(shape))
        return;
    json_put_array(w, "required");
    for (size_t i = 0; i < shape->fields_n; i++)
        if (shape->fields[i].flags & SHAPE_REQUIRED)
            json_value_str(w, str_of(shape->fields[i].name));
    json_end(w);
}

void json_schema_write(struct json_writer *w, const struct json_shape *shape)
{
    json_object(w);
    json_put_str(w, "title", str_of(shape->name));
    json_put_str(w, "type", STR("object"));
    put_properties(w, shape);
    json_end(w);
}
