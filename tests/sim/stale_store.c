#include "tests/sim/stale_store.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_BUCKETS 1024
#define FIRST_ENTRIES 256

static void *resize(void *block, size_t count, size_t size)
{
    void *bigger = realloc(block, count * size);

    if (bigger == NULL) {
        fputs("stale_store: no memory\n", stderr);
        abort();
    }
    return bigger;
}

static uint32_t bucket_of(const struct stale_store *store, struct reach_place place)
{
    uint64_t hash = place.ipa >> 12;

    hash = (hash * 8 + (uint64_t)(place.level + 1)) * REACH_GUESTS + place.guest;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32) & (store->bucket_count - 1);
}

static bool is_at(const struct stale_entry *entry, struct reach_place place)
{
    return entry->place.ipa == place.ipa && entry->place.level == place.level &&
           entry->place.guest == place.guest;
}

/* --- Size ------------------------------------------------------------------------------------ */

static void hash_in(struct stale_store *store, uint32_t number)
{
    uint32_t *bucket = &store->buckets[bucket_of(store, store->entries[number].place)];

    store->entries[number].chain = *bucket;
    *bucket = number;
}

static void hash_out(struct stale_store *store, uint32_t number)
{
    uint32_t *link = &store->buckets[bucket_of(store, store->entries[number].place)];

    while (*link != number) {
        link = &store->entries[*link].chain;
    }
    *link = store->entries[number].chain;
}

static void set_buckets(struct stale_store *store, uint32_t count)
{
    store->buckets = resize(store->buckets, count, sizeof(*store->buckets));
    store->bucket_count = count;
    for (uint32_t i = 0; i < count; i++) {
        store->buckets[i] = STALE_TLB_NONE;
    }
    for (uint32_t i = store->first; i != STALE_TLB_NONE; i = store->entries[i].next) {
        hash_in(store, i);
    }
}

static void set_capacity(struct stale_store *store, uint32_t capacity)
{
    store->entries = resize(store->entries, capacity, sizeof(*store->entries));
    for (uint32_t i = store->capacity; i < capacity; i++) {
        store->entries[i] = (struct stale_entry){.chain = store->unused};
        store->unused = i;
    }
    store->capacity = capacity;
}

void stale_store_init(struct stale_store *store)
{
    *store = (struct stale_store){.unused = STALE_TLB_NONE,
                                  .first = STALE_TLB_NONE,
                                  .last = STALE_TLB_NONE,
                                  .next_serial = 1};
    set_buckets(store, FIRST_BUCKETS);
    set_capacity(store, FIRST_ENTRIES);
}

void stale_store_fini(struct stale_store *store)
{
    free(store->entries);
    free(store->buckets);
    *store = (struct stale_store){.first = STALE_TLB_NONE};
}

/* --- Entries --------------------------------------------------------------------------------- */

uint32_t stale_store_add(struct stale_store *store, struct reach_place place, uint64_t desc,
                         bool is_table)
{
    uint32_t number;

    if (store->unused == STALE_TLB_NONE) {
        set_capacity(store, store->capacity * 2);
    }
    if (store->held >= store->bucket_count) {
        set_buckets(store, store->bucket_count * 4);
    }
    number = store->unused;
    store->unused = store->entries[number].chain;
    store->entries[number] = (struct stale_entry){
        .place = place,
        .desc = desc,
        .serial = store->next_serial++,
        .is_table = is_table,
        .parent = STALE_TLB_NONE,
        .next = STALE_TLB_NONE,
        .prev = store->last,
    };
    if (store->last == STALE_TLB_NONE) {
        store->first = number;
    } else {
        store->entries[store->last].next = number;
    }
    store->last = number;
    hash_in(store, number);
    store->held++;
    store->held_by[place.guest]++;
    store->tables_held += is_table ? 1 : 0;
    return number;
}

void stale_store_drop(struct stale_store *store, uint32_t number)
{
    struct stale_entry *entry = &store->entries[number];

    hash_out(store, number);
    if (entry->prev == STALE_TLB_NONE) {
        store->first = entry->next;
    } else {
        store->entries[entry->prev].next = entry->next;
    }
    if (entry->next == STALE_TLB_NONE) {
        store->last = entry->prev;
    } else {
        store->entries[entry->next].prev = entry->prev;
    }
    store->held--;
    store->held_by[entry->place.guest]--;
    store->tables_held -= entry->is_table ? 1 : 0;
    entry->serial = 0;
    entry->chain = store->unused;
    store->unused = number;
}

static uint32_t first_at(const struct stale_store *store, uint32_t number, struct reach_place place)
{
    while (number != STALE_TLB_NONE && !is_at(&store->entries[number], place)) {
        number = store->entries[number].chain;
    }
    return number;
}

uint32_t stale_store_find(const struct stale_store *store, struct reach_place place)
{
    return first_at(store, store->buckets[bucket_of(store, place)], place);
}

uint32_t stale_store_find_next(const struct stale_store *store, uint32_t number)
{
    const struct stale_entry *entry = &store->entries[number];

    return first_at(store, entry->chain, entry->place);
}

struct stale_entry *stale_store_parent(const struct stale_store *store,
                                       const struct stale_entry *entry)
{
    if (entry->parent == STALE_TLB_NONE ||
        store->entries[entry->parent].serial != entry->parent_serial) {
        return NULL;
    }
    return &store->entries[entry->parent];
}

void stale_entry_note(struct stale_entry *entry, const struct sim_event *event,
                      enum stale_reason reason)
{
    entry->notes[entry->note_count % STALE_TLB_NOTES] =
        (struct stale_note){event->index, event->kind, reason, (uint8_t)event->cpu};
    entry->note_count++;
}
