// host.cpp - a host in C++17 that embeds the archive: what a guest's life takes, checked.
#include "stage2/trestle.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#ifdef MAPPING_ASSERT_TEXT
extern "C" void mapping_assert_failed(const char *place)
#else
extern "C" void mapping_assert_failed(std::uintptr_t place)
#endif
{
    (void)place;
    std::puts("c++: an assertion failed");
    std::exit(3);
}

namespace
{

constexpr std::size_t FRAMES = 64, NODES = 16;
alignas(65536) unsigned char memory[FRAMES * 4096];

void must(mapping_error error, const char *what)
{
    if (error != MAPPING_OK) {
        throw std::runtime_error(std::string(what) + ": " + mapping_error_name(error));
    }
}

void must(bool is_so, const char *what)
{
    if (!is_so) {
        throw std::runtime_error(what);
    }
}

// Storage is the host's, and does not move.
class Guest
{
  public:
    Guest(frame_pool &pool, const s2_features &cpu, s2_vmid_allocator &vmids) : nodes(NODES)
    {
        s2_space_config config{};

        config.table.cpu = &cpu;
        config.table.granule = S2_GRANULE_4K;
        config.table_pool = &pool;
        config.nodes = nodes.data();
        config.node_count = nodes.size();
        config.vmids = &vmids;
        must(s2_space_init(&space, &config), s2_space_init_reason(&config));
    }
    Guest(const Guest &) = delete;
    Guest &operator=(const Guest &) = delete;
    ~Guest()
    {
        if (s2_space_fini(&space) != MAPPING_OK) {
            std::puts("c++: a guest does not end");
        }
    }
    s2_space *get()
    {
        return &space;
    }

  private:
    std::vector<memory_node> nodes;
    s2_space space{};
};

void live(frame_pool &pool, const s2_features &cpu, s2_vmid_allocator &vmids, s2_cpu &here)
{
    const auto guest = std::make_unique<Guest>(pool, cpu, vmids);
    s2_batch batch = S2_BATCH_INIT;
    struct s2_cursor cursor = s2_cursor(ipa_range(0x40000000, 0x200000));
    s2_leaf leaf{};

    must(s2_space_map_linear(guest->get(), ipa_range(0x40000000, 0x200000), pa_of(0x48000000),
                             S2_READ | S2_WRITE | S2_SOFT2),
         "map");
    must(s2_space_lookup(guest->get(), ipa_of(0x40001234), &leaf), "look up");
    must(pa_eq(leaf.pa, pa_of(0x48001234)) && leaf.size == 0x200000, "one block");
    must(leaf.flags == (S2_READ | S2_WRITE | S2_SOFT2), "with its flags");
    must(s2_enter(s2_space_enterable(guest->get()), &vmids, &here, 0), "enter");
    s2_batch_begin(&batch);
    must(s2_batch_unmap(&batch, guest->get(), ipa_range(0x40010000, 0x1000)), "unmap in a batch");
    must(s2_batch_protect(&batch, guest->get(), ipa_range(0x40020000, 0x1000), S2_READ),
         "protect in a batch");
    s2_batch_end(&batch);
    must(s2_space_lookup(guest->get(), ipa_of(0x40010000), &leaf) == MAPPING_NOT_FOUND, "a hole");
    must(s2_space_check(guest->get()), "areas and tables agree");
    while (!s2_cursor_is_done(&cursor)) {
        must(s2_space_unmap_step(guest->get(), &cursor, 64), "unmap in steps");
    }
    must(memory_set_is_empty(s2_space_areas(guest->get())), "no area is left");
    s2_leave(&here);
}

} // namespace

int main()
try {
    static frame_info infos[FRAMES];
    static frame_pool pool;
    static s2_vmid_allocator vmids;
    static s2_cpu here;
    static s2_meeting meeting;
    frame_region bank{PA_INIT(0x80000000), memory, FRAMES, infos};
    s2_features mine = s2_features_read();

    must(s2_meeting_join(&meeting, &mine), "join");
    mine = s2_meeting_close(&meeting);
    must(frame_pool_init(&pool, 12, &bank, 1), "pool");
    s2_vmid_init(&vmids, mine.vmid_bits);
    must(s2_cpu_init(&here, &vmids), "cpu");
    must(s2_space_layout.size == sizeof(s2_space) && s2_space_layout.align == alignof(s2_space),
         "C and C++ agree on a space");
    must(frame_pool_layout.size == sizeof(frame_pool) && s2_cpu_layout.size == sizeof(s2_cpu) &&
             s2_vmid_allocator_layout.size == sizeof(s2_vmid_allocator),
         "and on what has atomics");
    live(pool, mine, vmids, here);
    must(frame_pool_available(&pool) == FRAMES, "all frames are back");
    std::puts("c++: a guest lived and went");
    return 0;
} catch (const std::exception &error) {
    std::printf("c++: %s\n", error.what());
    return 1;
}
