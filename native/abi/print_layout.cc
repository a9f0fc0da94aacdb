// Prints name, size and field offsets of every shared struct as JSON, for the test that compares them with those that
// src/dataplane declares.
#include <cstddef>
#include <cstdio>

#include "messages.h"
#include "session.h"

namespace {

bool first_struct = true;
bool first_field = true;

void Begin(const char* name, std::size_t size) {
  std::printf("%s\n  {\"name\": \"%s\", \"size\": %zu, \"fields\": {", first_struct ? "" : ",", name, size);
  first_struct = false;
  first_field = true;
}

void Field(const char* name, std::size_t offset, std::size_t size) {
  std::printf("%s\"%s\": {\"offset\": %zu, \"size\": %zu}", first_field ? "" : ", ", name, offset, size);
  first_field = false;
}

void End() { std::printf("}}"); }

}  // namespace

#define STRUCT(type) Begin(#type, sizeof(swapfs::abi::type))
#define FIELD(type, name) Field(#name, offsetof(swapfs::abi::type, name), sizeof(swapfs::abi::type::name))

namespace {

void PrintMessages() {
  STRUCT(MessageHeader);
  FIELD(MessageHeader, type), FIELD(MessageHeader, length), FIELD(MessageHeader, tag), End();
  STRUCT(ExtentEntry);
  FIELD(ExtentEntry, device_page), FIELD(ExtentEntry, file_page), Field("count_state", 12, 4), End();
  STRUCT(AskMessage);
  FIELD(AskMessage, header), FIELD(AskMessage, ino), FIELD(AskMessage, offset), FIELD(AskMessage, unique);
  FIELD(AskMessage, length), FIELD(AskMessage, flags), End();
  STRUCT(AnswerMessage);
  FIELD(AnswerMessage, header), FIELD(AnswerMessage, size), FIELD(AnswerMessage, error);
  FIELD(AnswerMessage, extents), End();
  STRUCT(CommitMessage);
  FIELD(CommitMessage, header), FIELD(CommitMessage, ino), FIELD(CommitMessage, offset);
  FIELD(CommitMessage, time_ns), FIELD(CommitMessage, length), FIELD(CommitMessage, error), End();
  STRUCT(ResultMessage);
  FIELD(ResultMessage, header), FIELD(ResultMessage, error), FIELD(ResultMessage, padding), End();
  STRUCT(InstallMessage);
  FIELD(InstallMessage, header), FIELD(InstallMessage, ino), FIELD(InstallMessage, size);
  FIELD(InstallMessage, flags), FIELD(InstallMessage, extents), FIELD(InstallMessage, total);
  FIELD(InstallMessage, room), End();
  STRUCT(RevokeMessage);
  FIELD(RevokeMessage, header), FIELD(RevokeMessage, ino), End();
  STRUCT(ZeroMessage);
  FIELD(ZeroMessage, header), FIELD(ZeroMessage, device_page), FIELD(ZeroMessage, from);
  FIELD(ZeroMessage, length), End();
  STRUCT(CopyMessage);
  FIELD(CopyMessage, header), FIELD(CopyMessage, from_page), FIELD(CopyMessage, to_page), FIELD(CopyMessage, count);
  FIELD(CopyMessage, padding), End();
}

void PrintSessionHeader() {
  STRUCT(SessionHeader);
  FIELD(SessionHeader, magic), FIELD(SessionHeader, version), FIELD(SessionHeader, header_bytes);
  FIELD(SessionHeader, session), FIELD(SessionHeader, keeper_pid), FIELD(SessionHeader, data_pid);
  FIELD(SessionHeader, control_pid), FIELD(SessionHeader, data_generation);
  FIELD(SessionHeader, control_generation), FIELD(SessionHeader, control_up), FIELD(SessionHeader, destroyed);
  FIELD(SessionHeader, io_flusher), FIELD(SessionHeader, memory_locked), FIELD(SessionHeader, oom_protected);
  FIELD(SessionHeader, locked_bytes), End();
}

void PrintCounters() {
  STRUCT(SessionCounters);
  FIELD(SessionCounters, resent), FIELD(SessionCounters, relayed), FIELD(SessionCounters, deferred);
  FIELD(SessionCounters, resends), FIELD(SessionCounters, parked), FIELD(SessionCounters, errors);
  FIELD(SessionCounters, device_errors), FIELD(SessionCounters, allocations), FIELD(SessionCounters, maps);
  FIELD(SessionCounters, extents), FIELD(SessionCounters, evicted), FIELD(SessionCounters, in_flight);
  FIELD(SessionCounters, in_flight_max), End();
}

void PrintShard() {
  STRUCT(CounterShard);
  FIELD(CounterShard, requests), FIELD(CounterShard, mapped), FIELD(CounterShard, bmap_hits);
  FIELD(CounterShard, read_bytes), FIELD(CounterShard, written_bytes);
  FIELD(CounterShard, ordinary_pages_in), FIELD(CounterShard, ordinary_pages_out);
  FIELD(CounterShard, swap_rw_pages_in), FIELD(CounterShard, swap_rw_pages_out);
  FIELD(CounterShard, parked_pages_in), FIELD(CounterShard, parked_pages_out);
  FIELD(CounterShard, merged), FIELD(CounterShard, transfers), FIELD(CounterShard, polls);
  FIELD(CounterShard, poll_hits), FIELD(CounterShard, awake_began), FIELD(CounterShard, awake_ended);
  FIELD(CounterShard, partner_pieces), FIELD(CounterShard, reserved), FIELD(CounterShard, latency), End();
}

void PrintSession() {
  PrintSessionHeader();
  PrintCounters();
  PrintShard();
  STRUCT(TouchSlot);
  FIELD(TouchSlot, ino), FIELD(TouchSlot, time_ns), End();
  STRUCT(RingEntry);
  FIELD(RingEntry, ino), FIELD(RingEntry, device_page), FIELD(RingEntry, end), FIELD(RingEntry, time_ns);
  FIELD(RingEntry, file_page), FIELD(RingEntry, count), End();
  STRUCT(CommitRing);
  FIELD(CommitRing, tail), FIELD(CommitRing, head), FIELD(CommitRing, padding), FIELD(CommitRing, entries), End();
  STRUCT(AttributeSlot);
  FIELD(AttributeSlot, sequence), FIELD(AttributeSlot, padding), FIELD(AttributeSlot, ino);
  FIELD(AttributeSlot, attr_out), FIELD(AttributeSlot, reserved), End();
  STRUCT(DirectoryNotes);
  FIELD(DirectoryNotes, ready), FIELD(DirectoryNotes, no_capabilities), FIELD(DirectoryNotes, padding);
  FIELD(DirectoryNotes, attributes), FIELD(DirectoryNotes, names), End();
  STRUCT(HandleSlot);
  FIELD(HandleSlot, fh), FIELD(HandleSlot, ino), FIELD(HandleSlot, flags), FIELD(HandleSlot, pid);
  FIELD(HandleSlot, uid), FIELD(HandleSlot, padding), End();
  STRUCT(Session);
  FIELD(Session, header), FIELD(Session, counters), FIELD(Session, shards), FIELD(Session, touched);
  FIELD(Session, ring), FIELD(Session, directories);
  FIELD(Session, handles), End();
}

}  // namespace

int main() {
  std::printf("[");
  PrintMessages();
  PrintSession();
  std::printf("\n]\n");
  return 0;
}
