# gatherd — a daemon that runs batches of jobs and gathers their results
#
#   make demo       everything from nothing: packages, build, the main job shown
#   make test       everything that must hold: lint, unit, end-to-end, sanitizers
#   make            the programs, in build/
#   make deps       the Debian packages that are missing
#   make check      unit tests             make e2e     end-to-end tests
#   make lint       format, layers, clang-tidy, cppcheck, shellcheck
#   make bench      the figures of docs/bench.md, measured here and now
#   make install    DESTDIR= PREFIX=
#   VARIANT=release|asan|tsan|debug|cov chooses how things are built

VARIANT ?= release
PREFIX  ?= /usr/local
BIN     := build$(if $(filter-out release,$(VARIANT)),/$(VARIANT))
B       := build/obj/$(VARIANT)

CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
CFLAGS_debug   := -O0 -g3
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_cov     := -O0 -g --coverage
LDFLAGS_release := -pie -Wl,-z,relro,-z,now

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
        -Wmissing-prototypes -Wold-style-definition -Wcast-qual -Wcast-align=strict -Wformat=2 \
        -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wundef -Wpointer-arith \
        -Wwrite-strings -Wvla -Wredundant-decls -Wnull-dereference \
        -Werror=implicit -Werror=int-conversion -Werror=incompatible-pointer-types
WERROR ?= -Werror

CC       := gcc
CPPFLAGS += -I. -D_GNU_SOURCE
CFLAGS   += -std=gnu17 $(WARN) $(WERROR) $(CFLAGS_$(VARIANT))
LDFLAGS  += $(CFLAGS_$(VARIANT)) $(LDFLAGS_$(VARIANT)) -Wl,--as-needed

PROGRAMS := gatherd gatherd-runner gatherd-fetcher gather
.PHONY: all deps demo test check e2e lint bench install clean format
all: $(PROGRAMS:%=$(BIN)/%) $(BIN)/libgather.a

# --- layers: one archive each; a program links them top down, so that a call
# --- against the direction does not link.
obj = $(patsubst %.c,$(B)/%.o,$(filter-out %/main.c,$(wildcard $(1)/*.c)))
lib = $(B)/lib$(subst /,_,$(1)).a
LAYERS := base daemon/loop daemon/core daemon/store daemon/proto daemon/exec daemon/worker daemon/runner \
          daemon/fetcher api client daemon
define layer_rule
$(call lib,$(1)): $(call obj,$(1))
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))
%.a:
	@rm -f $@
	$(AR) rcs $@ $^

LIBS_gatherd         := -lmicrohttpd -lsqlite3 -luv -lgnutls -lcjson -lm -lpthread
LIBS_gatherd-runner  := -luv -lcjson -lm
LIBS_gatherd-fetcher := -lcurl-gnutls -luv -lgnutls -lcjson -lm
LIBS_gather          := -lcurl-gnutls -lcjson -lm

libs = $(foreach l,$(1),$(call lib,$(l)))
$(BIN)/gatherd: $(B)/daemon/main.o $(call libs,daemon api daemon/store daemon/exec daemon/proto daemon/core daemon/loop base)
$(BIN)/gatherd-runner: $(B)/daemon/runner/main.o $(call libs,daemon/runner daemon/worker daemon/proto daemon/loop base)
$(BIN)/gatherd-fetcher: $(B)/daemon/fetcher/main.o $(call libs,daemon/fetcher daemon/worker daemon/proto daemon/loop base)
$(BIN)/gather: $(B)/client/main.o $(call libs,client base)
$(PROGRAMS:%=$(BIN)/%):
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_$(@F))

# --- libgather: one object in which nothing but gather_* can be seen from outside
LIBGATHER := $(filter-out $(B)/client/cli% $(B)/client/cmd%,$(call obj,client)) $(call obj,base)
$(BIN)/libgather.a: $(LIBGATHER)
	@mkdir -p $(@D)
	$(LD) -r -o $(B)/libgather.o $^
	objcopy -w --keep-global-symbol='gather_*' $(B)/libgather.o
	@rm -f $@
	$(AR) rcs $@ $(B)/libgather.o
VERSION = $(shell sed -n 's/.*GD_VERSION "\(.*\)"/\1/p' base/version.h)
define GATHER_PC
prefix=$(PREFIX)
Name: libgather
Description: asyncio's tasks and gather, run by gatherd
Version: $(VERSION)
Cflags: -I$${prefix}/include
Libs: -L$${prefix}/lib -lgather -lcurl-gnutls -lcjson -lm
endef
export GATHER_PC

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# --- unit tests: tests/unit/test_<layer>_<module>.c, linked with what they need
UNIT    := $(patsubst tests/unit/%.c,$(BIN)/tests/%,$(wildcard tests/unit/test_*.c))
SUPPORT := $(call obj,tests/support)
WRAP    := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup \
           -Wl,--wrap=_mark_point,--wrap=_ck_assert_failed
ALL_LIBS := $(call libs,daemon api client daemon/store daemon/exec daemon/runner daemon/fetcher \
              daemon/worker daemon/proto daemon/core daemon/loop base)
$(BIN)/tests/%: $(B)/tests/unit/%.o $(SUPPORT) $(ALL_LIBS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(WRAP) $(shell pkg-config --libs check) \
	    $(LIBS_gatherd) $(LIBS_gatherd-fetcher)
$(B)/tests/%.o: CPPFLAGS += $(shell pkg-config --cflags check)

# --- what the demo and the figures need besides: a program for each file
BENCH := $(patsubst tests/bench/%.c,$(BIN)/bench/%,$(wildcard tests/bench/*.c))
$(BIN)/demo/%: $(B)/tests/demo/%.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -lpthread
$(BIN)/bench/%: $(B)/tests/bench/%.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -lmicrohttpd -lpthread

check: $(UNIT)
	@tests/run-unit $(UNIT)

e2e: all
	tests/run-e2e $(BIN)

# --- checks without running
SRC = $(shell git ls-files -co --exclude-standard '*.c' '*.h')
format:
	clang-format -i $(SRC)
lint:
	tests/lint/run

deps:
	@tests/deps

demo: deps
	@$(MAKE) --no-print-directory -s all $(BIN)/demo/fileserver
	@tests/demo/run $(BIN)

test: deps
	@tests/run-all

bench: deps all $(BENCH)
	tests/bench/run $(BIN)

install: all
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(BIN)/gather
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(BIN)/gatherd
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(BIN)/gatherd-runner
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/sbin $(BIN)/gatherd-fetcher
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include client/gather.h
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib $(BIN)/libgather.a
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	echo "$$GATHER_PC" >$(DESTDIR)$(PREFIX)/lib/pkgconfig/libgather.pc
	chmod 644 $(DESTDIR)$(PREFIX)/lib/pkgconfig/libgather.pc
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/gatherd.service
	sed -i 's,/usr/local,$(PREFIX),' $(DESTDIR)$(PREFIX)/lib/systemd/system/gatherd.service

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
.DELETE_ON_ERROR:
