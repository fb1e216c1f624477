// host.rs - a host in Rust that embeds the archive by plain FFI: what a guest's life takes, checked.
// Storage is as large as the archive says; what is mirrored is measured against it.
use std::alloc::{alloc_zeroed, Layout};
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};

#[repr(C)]
struct MappingLayout {
    size: usize,
    align: usize,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Debug)]
struct Ipa(u64);

#[repr(C)]
#[derive(Clone, Copy, PartialEq, Debug)]
struct Pa(u64);

#[repr(C)]
#[derive(Clone, Copy)]
struct IpaRange {
    start: Ipa,
    size: u64,
}

#[repr(C)]
struct Region {
    base: Pa,
    memory: *mut c_void,
    frame_count: usize,
    info: *mut c_void,
}

#[repr(C)]
#[derive(Default, Debug)]
struct IdRegs {
    mmfr0: u64,
    mmfr1: u64,
    mmfr2: u64,
    isar0: u64,
    isar1: u64,
    ctr: u64,
    midr: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Features {
    pa_bits: u32,
    granules: [u32; 3],
    vmid_bits: u32,
    hafdbs: u32,
    bbm: u32,
    tlb: u32,
    flags: [bool; 11], // has_xnx .. has_conflict_free_sizes
    errata: u32,
    dcache_line: u32,
}

#[repr(C)]
struct Hook {
    call: *const c_void,
    arg: *mut c_void,
}

#[repr(C)]
struct Config {
    cpu: *const Features,
    granule: u32,
    ipa_bits: u32,
    pa_bits: u32,
    choices: [u32; 16], // lpa2 .. unusable_updates: 0, the default of each
    notifier: Hook,
    sink: Hook,
    guard: *mut c_void,
}

#[repr(C)]
struct SpaceConfig {
    table: Config,
    table_pool: *mut c_void,
    nodes: *mut c_void,
    node_count: usize,
    memory: *const c_void,
    vmids: *mut c_void,
    vmid: u16,
    data_quota: usize,
}

#[repr(C)]
struct Leaf {
    pa: Pa,
    size: u64,
    level: c_int,
    run: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Cursor {
    range: IpaRange,
    next: Ipa,
    is_split: bool,
}

extern "C" {
    static frame_info_layout: MappingLayout;
    static frame_pool_layout: MappingLayout;
    static frame_region_layout: MappingLayout;
    static memory_node_layout: MappingLayout;
    static s2_config_layout: MappingLayout;
    static s2_cpu_layout: MappingLayout;
    static s2_cursor_layout: MappingLayout;
    static s2_features_layout: MappingLayout;
    static s2_id_regs_layout: MappingLayout;
    static s2_leaf_layout: MappingLayout;
    static s2_space_config_layout: MappingLayout;
    static s2_space_layout: MappingLayout;
    static s2_vmid_allocator_layout: MappingLayout;

    fn mapping_error_name(error: c_int) -> *const c_char;
    fn ipa_of(raw: u64) -> Ipa;
    fn pa_of(raw: u64) -> Pa;
    fn ipa_range(start: u64, size: u64) -> IpaRange;
    fn pa_distance(from: Pa, to: Pa) -> u64;
    fn frame_pool_init(pool: *mut c_void, shift: u32, regions: *mut Region, count: usize) -> c_int;
    fn frame_pool_available(pool: *const c_void) -> usize;
    fn frame_pool_alloc(pool: *mut c_void, order: u32, frame: *mut Pa) -> c_int;
    fn frame_pool_free(pool: *mut c_void, frame: Pa, order: u32) -> c_int;
    fn frame_pool_ptr(pool: *const c_void, frame: Pa) -> *mut c_void;
    fn s2_features_decode(regs: *const IdRegs) -> Features;
    fn s2_vmid_init(vmids: *mut c_void, bits: u32);
    fn s2_vmid_last(vmids: *const c_void) -> u32;
    fn s2_cpu_init(cpu: *mut c_void, vmids: *mut c_void) -> c_int;
    fn s2_space_init(space: *mut c_void, config: *const SpaceConfig) -> c_int;
    fn s2_space_fini(space: *mut c_void) -> c_int;
    fn s2_space_map_linear(space: *mut c_void, range: IpaRange, pa: Pa, flags: u64) -> c_int;
    fn s2_space_unmap(space: *mut c_void, range: IpaRange) -> c_int;
    fn s2_space_unmap_step(space: *mut c_void, cursor: *mut Cursor, budget: usize) -> c_int;
    fn s2_space_lookup(space: *mut c_void, addr: Ipa, leaf: *mut Leaf) -> c_int;
    fn s2_space_check(space: *mut c_void) -> bool;
    fn s2_space_enterable(space: *mut c_void) -> *mut c_void;
    fn s2_cursor(range: IpaRange) -> Cursor;
    fn s2_cursor_is_done(cursor: *const Cursor) -> bool;
    fn s2_enter(table: *mut c_void, vmids: *mut c_void, cpu: *mut c_void, vcpu: u32) -> c_int;
    fn s2_leave(cpu: *mut c_void);
}

const READ: u64 = 1;
const WRITE: u64 = 2;
const NOT_FOUND: c_int = 4;
const FRAMES: usize = 64;
const NODES: usize = 16;

// Objects that never move, and that live as long as this program.
fn objects(layout: &MappingLayout, count: usize) -> *mut c_void {
    unsafe { bytes(layout.size * count, layout.align) }
}

unsafe fn bytes(size: usize, align: usize) -> *mut c_void {
    let at = alloc_zeroed(Layout::from_size_align(size, align).unwrap());
    assert!(!at.is_null());
    at as *mut c_void
}

fn must(error: c_int) {
    assert_eq!(error, 0, "{:?}", unsafe { CStr::from_ptr(mapping_error_name(error)) });
}

fn mirrors<T>(layout: &MappingLayout) {
    assert_eq!(std::mem::size_of::<T>(), layout.size);
    assert_eq!(std::mem::align_of::<T>(), layout.align);
}

fn main() {
    unsafe {
        mirrors::<Region>(&frame_region_layout);
        mirrors::<IdRegs>(&s2_id_regs_layout);
        mirrors::<Features>(&s2_features_layout);
        mirrors::<Config>(&s2_config_layout);
        mirrors::<SpaceConfig>(&s2_space_config_layout);
        mirrors::<Leaf>(&s2_leaf_layout);
        mirrors::<Cursor>(&s2_cursor_layout);

        let cpu = s2_features_decode(&IdRegs { mmfr0: 5, ..Default::default() });
        assert_eq!((cpu.pa_bits, cpu.vmid_bits, cpu.dcache_line), (48, 8, 4));
        assert_eq!(cpu.granules, [1, 0, 1]);

        let pool = objects(&frame_pool_layout, 1);
        let mut bank = Region {
            base: pa_of(0x8000_0000),
            memory: bytes(FRAMES * 4096, 65536),
            frame_count: FRAMES,
            info: objects(&frame_info_layout, FRAMES),
        };
        must(frame_pool_init(pool, 12, &mut bank, 1));
        let mut frame = pa_of(0);
        must(frame_pool_alloc(pool, 0, &mut frame));
        let at = frame_pool_ptr(pool, frame) as usize - bank.memory as usize;
        assert_eq!(at as u64, pa_distance(bank.base, frame));
        must(frame_pool_free(pool, frame, 0));

        let vmids = objects(&s2_vmid_allocator_layout, 1);
        let here = objects(&s2_cpu_layout, 1);
        s2_vmid_init(vmids, cpu.vmid_bits);
        assert_eq!(s2_vmid_last(vmids), 255);
        must(s2_cpu_init(here, vmids));

        let space = objects(&s2_space_layout, 1);
        let none = || Hook { call: std::ptr::null(), arg: std::ptr::null_mut() };
        let config = SpaceConfig {
            table: Config {
                cpu: &cpu,
                granule: 12,
                ipa_bits: 40,
                pa_bits: 0,
                choices: [0; 16],
                notifier: none(),
                sink: none(),
                guard: std::ptr::null_mut(),
            },
            table_pool: pool,
            nodes: objects(&memory_node_layout, NODES),
            node_count: NODES,
            memory: std::ptr::null(),
            vmids,
            vmid: 0,
            data_quota: 0,
        };
        must(s2_space_init(space, &config));
        let ram = ipa_range(0x4000_0000, 0x20_0000);
        must(s2_space_map_linear(space, ram, pa_of(0x4800_0000), READ | WRITE));
        let mut leaf = Leaf { pa: pa_of(0), size: 0, level: 0, run: 0, flags: 0 };
        must(s2_space_lookup(space, ipa_of(0x4000_1234), &mut leaf));
        assert_eq!(leaf.pa, pa_of(0x4800_1234));
        assert_eq!((leaf.size, leaf.level, leaf.run), (0x20_0000, 2, 0x20_0000));
        assert_eq!(leaf.flags, READ | WRITE);
        must(s2_enter(s2_space_enterable(space), vmids, here, 0));
        must(s2_space_unmap(space, ipa_range(0x4001_0000, 0x1000)));
        assert_eq!(s2_space_lookup(space, ipa_of(0x4001_0000), &mut leaf), NOT_FOUND);
        assert!(s2_space_check(space));
        let mut cursor = s2_cursor(ram);
        while !s2_cursor_is_done(&cursor) {
            must(s2_space_unmap_step(space, &mut cursor, 64));
        }
        s2_leave(here);
        must(s2_space_fini(space));
        assert_eq!(frame_pool_available(pool), FRAMES);
        println!("rust: a guest lived and went");
    }
}
