# The Node addon: $(BUILD)/swapfs.node. Works alone (make -C native -f addon/addon.mk) and included from native/Makefile.
BUILD ?= build
CXX ?= g++
NODE_API_HEADERS ?= ../node_modules/node-api-headers/include

ADDON_SOURCES := $(wildcard addon/*.cc)
ADDON_OBJECTS := $(ADDON_SOURCES:%.cc=$(BUILD)/%.o)
ADDON_FLAGS := -std=c++20 -O2 -fPIC -fvisibility=hidden -fno-exceptions -D_GNU_SOURCE \
  -Wall -Wextra -Wconversion -Werror -isystem $(NODE_API_HEADERS) -DNAPI_VERSION=8

.PHONY: addon
addon: $(BUILD)/swapfs.node

# libuv and N-API symbols are those of the node that loads it.
$(BUILD)/swapfs.node: $(ADDON_OBJECTS)
	$(CXX) -shared -static-libstdc++ -static-libgcc -o $@ $^

$(BUILD)/addon/%.o: addon/%.cc $(wildcard addon/*.h) addon/addon.mk
	@mkdir -p $(@D)
	$(CXX) $(ADDON_FLAGS) -c -o $@ $<
