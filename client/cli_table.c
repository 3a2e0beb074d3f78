#include "client/cli_format.h"

#include <string.h>

/* Marks the start of a row in front of its first cell: state + 2, so that it is
 * never NUL and 1 stands for none. */
#define MARK(state) ((char)((state) + 2))

void cli_table_row(struct cli_table *t, int state)
{
    if (t->n_rows == CLI_TABLE_ROWS)
        cli_table_flush(t);
    t->n_rows++;
    gd_buf_putc(&t->cells, MARK(state));
}

void cli_table_cell(struct cli_table *t)
{
    gd_buf_putc(&t->cells, '\0');
}

static void fit(struct cli_table *t, size_t column, struct gd_span cell)
{
    size_t width = cli_width(cell);
    if (width > t->widths[column])
        t->widths[column] = width;
}

static void put_cell(struct cli_table *t, size_t column, struct gd_span cell, const char *color)
{
    if (color)
        gd_buf_puts(t->out, color);
    gd_buf_span(t->out, cell);
    if (color)
        gd_buf_puts(t->out, CLI_COLOR_END);
    if (column + 1 == t->n_columns) {
        while (cell.len == 0 && t->out->len > 0 && t->out->ptr[t->out->len - 1] == ' ')
            t->out->len--;
        gd_buf_putc(t->out, '\n');
        return;
    }
    for (size_t n = cli_width(cell); n < t->widths[column] + 2; n++)
        gd_buf_putc(t->out, ' ');
}

/* Runs over all cells: measures them, or writes them. */
static void walk(struct cli_table *t, bool write)
{
    const char *p = t->cells.ptr;
    for (size_t row = 0; row < t->n_rows; row++) {
        int state = *p++ - 2;
        for (size_t column = 0; column < t->n_columns; column++) {
            struct gd_span cell = {p, strlen(p)};
            /* The second column is the state, by which rows are told apart. */
            bool colored = t->color && column == 1 && state >= 0;
            if (write)
                put_cell(t, column, cell,
                         colored ? cli_state_color((enum gather_state)state) : NULL);
            else
                fit(t, column, cell);
            p += cell.len + 1;
        }
    }
}

void cli_table_flush(struct cli_table *t)
{
    if (gd_buf_error(&t->cells)) {
        t->out->err = gd_buf_error(&t->cells);
        return;
    }
    if (!t->titled) {
        for (size_t i = 0; i < t->n_columns; i++)
            fit(t, i, (struct gd_span){t->titles[i], strlen(t->titles[i])});
        walk(t, false);
        for (size_t i = 0; i < t->n_columns; i++)
            put_cell(t, i, (struct gd_span){t->titles[i], strlen(t->titles[i])}, NULL);
        t->titled = true;
    }
    walk(t, true);
    gd_buf_reset(&t->cells);
    t->n_rows = 0;
}

void cli_table_done(struct cli_table *t)
{
    gd_buf_free(&t->cells);
}
