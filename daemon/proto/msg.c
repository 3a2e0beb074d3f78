#include "daemon/proto/msg.h"

#include <stdlib.h>
#include <string.h>

struct field_head {
    uint32_t field;
    uint32_t len;
};

void gd_msg_init(struct gd_msg *m, enum gd_msg_type type, uint64_t task, uint32_t attempt)
{
    *m = (struct gd_msg){
        .head = {.type = (uint16_t)type, .task = task, .attempt = attempt},
        .fields = {.max = GD_MSG_MAX},
    };
}

void gd_msg_free(struct gd_msg *m)
{
    if (m)
        gd_buf_free(&m->fields);
}

size_t gd_msg_open(struct gd_msg *m, enum gd_msg_field field)
{
    struct field_head head = {.field = field};
    size_t opened = m->fields.len;
    gd_buf_put(&m->fields, &head, sizeof(head));
    return opened;
}

void gd_msg_close(struct gd_msg *m, size_t opened)
{
    if (gd_buf_error(&m->fields) < 0)
        return;
    uint32_t len = (uint32_t)(m->fields.len - opened - sizeof(struct field_head));
    memcpy(m->fields.ptr + opened + offsetof(struct field_head, len), &len, sizeof(len));
}

void gd_msg_put(struct gd_msg *m, enum gd_msg_field field, const void *bytes, size_t n)
{
    size_t opened = gd_msg_open(m, field);
    gd_buf_put(&m->fields, bytes, n);
    gd_msg_close(m, opened);
}

void gd_msg_str(struct gd_msg *m, enum gd_msg_field field, const char *s)
{
    if (s)
        gd_msg_put(m, field, s, strlen(s));
}

void gd_msg_u64(struct gd_msg *m, enum gd_msg_field field, uint64_t n)
{
    gd_msg_put(m, field, &n, sizeof(n));
}

bool gd_msg_next(const struct gd_msg_view *v, size_t *pos, unsigned *ret_field,
                 struct gd_span *ret_bytes)
{
    struct field_head head;
    size_t left = v->fields.len - *pos;
    if (left < sizeof(head))
        return false;
    memcpy(&head, v->fields.ptr + *pos, sizeof(head));
    if (head.len > left - sizeof(head))
        return false;
    *ret_field = head.field;
    *ret_bytes = (struct gd_span){.ptr = v->fields.ptr + *pos + sizeof(head), .len = head.len};
    *pos += sizeof(head) + head.len;
    return true;
}

bool gd_msg_is_whole(const struct gd_msg_view *v)
{
    size_t pos = 0;
    unsigned field = 0;
    struct gd_span bytes;
    while (gd_msg_next(v, &pos, &field, &bytes))
        continue;
    return pos == v->fields.len;
}

bool gd_msg_find(const struct gd_msg_view *v, enum gd_msg_field field, struct gd_span *ret_bytes)
{
    size_t pos = 0;
    unsigned found = 0;
    struct gd_span bytes;
    while (gd_msg_next(v, &pos, &found, &bytes))
        if (found == field) {
            *ret_bytes = bytes;
            return true;
        }
    return false;
}

uint64_t gd_msg_as_u64(struct gd_span bytes)
{
    uint64_t n = 0;
    if (bytes.len == sizeof(n))
        memcpy(&n, bytes.ptr, sizeof(n));
    return n;
}

uint64_t gd_msg_num(const struct gd_msg_view *v, enum gd_msg_field field, uint64_t otherwise)
{
    struct gd_span bytes;
    return gd_msg_find(v, field, &bytes) && bytes.len == sizeof(uint64_t) ? gd_msg_as_u64(bytes)
                                                                          : otherwise;
}

char *gd_msg_dup(const struct gd_msg_view *v, enum gd_msg_field field)
{
    struct gd_span bytes;
    return gd_msg_find(v, field, &bytes) ? strndup(bytes.ptr, bytes.len) : NULL;
}

const char *gd_msg_type_name(unsigned type)
{
    switch (type) {
#define X(id, number, name) \
    case GD_MSG_##id:       \
        return name;
        GD_MSG_TYPES(X)
#undef X
    default:
        return "?";
    }
}
