/* base/list.h — intrusive doubly linked lists.
 *
 * A list is a head node that points to itself when empty; a node of all zero
 * bytes is in no list. The owner embeds the node and finds itself again with
 * GD_OWNER. Nothing is allocated, nothing is owned.
 */
#ifndef GD_BASE_LIST_H
#define GD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct gd_node {
    struct gd_node *next;
    struct gd_node *prev;
};

/* The object of type `type` that embeds `ptr` as its member `member`. */
#define GD_OWNER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void gd_list_init(struct gd_node *head)
{
    head->next = head->prev = head;
}

static inline bool gd_list_empty(const struct gd_node *head)
{
    return head->next == head;
}

/* True if `node` is in some list. */
static inline bool gd_node_linked(const struct gd_node *node)
{
    return node->next != NULL;
}

/* Puts `node` (in no list) at the end. */
static inline void gd_list_push(struct gd_node *head, struct gd_node *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Puts `node` (in no list) at the front. */
static inline void gd_list_unshift(struct gd_node *head, struct gd_node *node)
{
    gd_list_push(head->next, node);
}

/* Takes `node` out of its list; no list is fine. */
static inline void gd_node_unlink(struct gd_node *node)
{
    if (!node->next)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

/* Takes the first node out; NULL if empty. */
static inline struct gd_node *gd_list_shift(struct gd_node *head)
{
    struct gd_node *node = head->next;
    if (node == head)
        return NULL;
    /* As gd_node_unlink(), in terms that a static analyser follows. */
    head->next = node->next;
    node->next->prev = head;
    node->next = node->prev = NULL;
    return node;
}

/* Moves every node of `from` to the end of `to`; `from` is empty afterwards. */
static inline void gd_list_splice(struct gd_node *to, struct gd_node *from)
{
    if (gd_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    gd_list_init(from);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared takes none. */

/* Walks the list; `node` must not be unlinked by the body. */
#define gd_list_each(node, head) \
    for (struct gd_node *node = (head)->next; (node) != (head); (node) = (node)->next)

/* Walks the list; the body may unlink `node`, and nothing else. */
#define gd_list_each_safe(node, head)                                                        \
    for (struct gd_node *node = (head)->next, *node##_next = (node)->next; (node) != (head); \
         (node) = node##_next, node##_next = (node)->next)

/* NOLINTEND(bugprone-macro-parentheses) */

#endif
