//! Guests of each world whose functions do something at random: call the host with whatever numbers, and answer with whatever is
//! in their memory.
//!
//! What a component must do to be loaded at all (say what it is, accept its settings) most of them do right.

use std::path::Path;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, Encode, Function, GlobalSection, GlobalType, Instruction, MemArg,
    MemorySection, MemoryType, Module, RawSection, SectionId, ValType,
};
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, WorldId};

use crate::random::Random;

/// The exports of each world, and whether it may import what needs a grant.
pub(crate) const WORLDS: [(&str, bool); 4] = [
    ("permission-check", true),
    ("policy-evaluation", true),
    ("image-recipe-generation", false),
    ("recipe-adaptation", true),
];

/// Pages of memory at the start: the last ones are for what the host passes.
const PAGES: u64 = 4;
/// Where the host's arguments go.
const HEAP: i32 = 2 << 16;
/// Where `describe` finds its answer: four texts.
const INFO: u32 = 1100;
/// A result that is a yes.
const OK: u32 = 1200;
/// A list of one offer.
const OFFERS: u32 = 1300;
/// Texts.
const TEXTS: u32 = 2048;
/// Words that answers are made of.
const WORDS: u32 = 4096;
const END_OF_WORDS: u32 = 2 * WORDS;

/// A world's functions, imported and exported.
pub(crate) struct Shape {
    /// What stands before and behind the core module in a component of this world.
    around: (Vec<u8>, Vec<u8>),
    types: Vec<FuncType>,
    /// The types of the imported functions, which come first, and of its own.
    imported: Vec<u32>,
    own: Vec<u32>,
    /// The exported functions, by their index among all.
    exports: Vec<(String, u32)>,
    /// Sections of the dummy that are taken as they are.
    raw: Vec<(u8, Vec<u8>)>,
}

impl Shape {
    pub(crate) fn of((interface, takes_grants): &(&str, bool)) -> Self {
        let mut resolve = Resolve::default();
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        resolve.push_dir(wit).unwrap();
        let granted = if *takes_grants {
            "import wharf:plugin/clock@0.1.0; import wharf:plugin/random@0.1.0; import wharf:plugin/folder@0.1.0;"
        } else {
            ""
        };
        let text = format!(
            "package wharf:fuzz; world fuzz {{ import wharf:plugin/log@0.1.0; import wharf:plugin/settings@0.1.0; {granted} \
             export wharf:plugin/metadata@0.1.0; export wharf:plugin/{interface}@0.1.0; }}"
        );
        let package = resolve.push_str("fuzz.wit", &text).unwrap();
        let world = resolve.select_world(&[package], Some("fuzz")).unwrap();
        let dummy = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
        let mut shape = Self {
            around: around(&resolve, world, dummy.clone()),
            types: Vec::new(),
            imported: Vec::new(),
            own: Vec::new(),
            exports: Vec::new(),
            raw: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(&dummy) {
            let payload = payload.unwrap();
            if let Some((id, range)) = payload.as_section()
                && [SectionId::Type as u8, SectionId::Import as u8, SectionId::Function as u8, SectionId::Export as u8]
                    .contains(&id)
            {
                let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                shape.raw.push((id, dummy[range].to_vec()));
            }
            match payload {
                Payload::TypeSection(types) => {
                    shape.types = types.into_iter_err_on_gc_types().map(Result::unwrap).collect();
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        if let TypeRef::Func(ty) = import.unwrap().ty {
                            shape.imported.push(ty);
                        }
                    }
                }
                Payload::FunctionSection(functions) => shape.own = functions.into_iter().map(Result::unwrap).collect(),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.unwrap();
                        if export.kind == ExternalKind::Func {
                            shape.exports.push((export.name.to_owned(), export.index));
                        }
                    }
                }
                _ => {}
            }
        }
        shape
    }

    /// Another guest.
    pub(crate) fn component(&self, random: &mut Random) -> Vec<u8> {
        let (before, after) = &self.around;
        let mut component = before.clone();
        let module = self.module(random);
        component.push(CORE_MODULE);
        module.len().encode(&mut component);
        component.extend_from_slice(&module);
        component.extend_from_slice(after);
        component
    }

    fn module(&self, random: &mut Random) -> Vec<u8> {
        let mut module = Module::new();
        let raw = |module: &mut Module, wanted: &[SectionId]| {
            for (id, data) in self.raw.iter().filter(|(id, _)| wanted.iter().any(|wanted| *wanted as u8 == *id)) {
                module.section(&RawSection { id: *id, data });
            }
        };
        raw(&mut module, &[SectionId::Type, SectionId::Import, SectionId::Function]);
        let maximum = if random.one_in(3) { None } else { Some(PAGES + random.below(64) as u64) };
        let memory = MemoryType { minimum: PAGES, maximum, memory64: false, shared: false, page_size_log2: None };
        module.section(MemorySection::new().memory(memory));
        let heap = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        module.section(GlobalSection::new().global(heap, &ConstExpr::i32_const(HEAP)));
        raw(&mut module, &[SectionId::Export]);
        let mut code = CodeSection::new();
        for at in 0..self.own.len() {
            code.function(&self.body(random, at));
        }
        module.section(&code);
        module.section(&data(random));
        module.finish()
    }

    fn body(&self, random: &mut Random, at: usize) -> Function {
        let index = u32::try_from(self.imported.len() + at).unwrap();
        let ty = &self.types[self.own[at] as usize];
        let name = self.exports.iter().find(|(_, exported)| *exported == index).map_or("", |(name, _)| name.as_str());
        let mut body = Function::new([]);
        // What comes before the first question of all is seldom wrong, or nothing would ever be loaded.
        let honest = !random.one_in(12);
        let answer = match name.rsplit('#').next().unwrap_or_default() {
            "cabi_realloc" if honest => return realloc(),
            "describe" if honest => Some(INFO),
            "validate-settings" if honest => Some(OK),
            "offers" if honest => Some(OFFERS),
            "role" if honest => Some(u32::try_from(random.below(2)).unwrap()),
            _ => None,
        };
        if answer.is_none() && !name.starts_with("cabi_post") {
            for _ in 0..random.below(8) {
                self.deed(random, &mut body, index);
            }
        }
        for result in ty.results() {
            match (answer, result) {
                (Some(answer), wasmparser::ValType::I32) => body.instruction(&Instruction::I32Const(answer.cast_signed())),
                (_, result) => body.instruction(&constant(random, *result)),
            };
        }
        body.instruction(&Instruction::End);
        body
    }

    /// Something that a guest can do.
    fn deed(&self, random: &mut Random, body: &mut Function, itself: u32) {
        let word = |random: &mut Random| Instruction::I32Const(word(random).cast_signed());
        match random.below(40) {
            0 => {
                // For ever.
                body.instruction(&Instruction::Loop(BlockType::Empty));
                body.instruction(&Instruction::Br(0));
                body.instruction(&Instruction::End);
            }
            1 => {
                body.instruction(&Instruction::Unreachable);
            }
            2 => {
                // Itself.
                let ty = &self.types[self.own[itself as usize - self.imported.len()] as usize];
                self.call(random, body, itself, ty);
            }
            3..=6 => {
                body.instruction(&Instruction::I32Const(i32::try_from(random.below(2000)).unwrap()));
                body.instruction(&Instruction::MemoryGrow(0));
                body.instruction(&Instruction::Drop);
            }
            7..=20 if !self.imported.is_empty() => {
                let function = random.below(self.imported.len());
                let ty = &self.types[self.imported[function] as usize];
                self.call(random, body, u32::try_from(function).unwrap(), ty);
            }
            _ => {
                let at = WORDS + u32::try_from(random.below((END_OF_WORDS - WORDS) as usize)).unwrap();
                body.instruction(&Instruction::I32Const(at.cast_signed()));
                body.instruction(&word(random));
                body.instruction(&Instruction::I32Store(MemArg { offset: 0, align: 0, memory_index: 0 }));
            }
        }
    }

    fn call(&self, random: &mut Random, body: &mut Function, function: u32, ty: &FuncType) {
        for parameter in ty.params() {
            body.instruction(&constant(random, *parameter));
        }
        body.instruction(&Instruction::Call(function));
        for _ in ty.results() {
            body.instruction(&Instruction::Drop);
        }
    }
}

/// The number of a section with a core module in it.
const CORE_MODULE: u8 = 1;

/// A component of a world without its core module: what passes values in and out is the same for all of them.
fn around(resolve: &Resolve, world: WorldId, mut module: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    let whole = ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    let range = Parser::new(0).parse_all(&whole).find_map(|payload| match payload.unwrap() {
        Payload::ModuleSection { unchecked_range, .. } => Some(unchecked_range),
        _ => None,
    });
    let range = range.unwrap();
    let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
    // The section's number and its length stand before.
    let mut length = Vec::new();
    (end - start).encode(&mut length);
    let begin = start - length.len() - 1;
    assert_eq!(whole[begin], CORE_MODULE);
    (whole[..begin].to_vec(), whole[end..].to_vec())
}

/// Gives the host what it asks for, from what is left of the memory.
fn realloc() -> Function {
    let mut body = Function::new([]);
    let aligned = [
        Instruction::GlobalGet(0),
        Instruction::GlobalGet(0),
        Instruction::LocalGet(3),
        Instruction::I32Add,
        Instruction::I32Const(7),
        Instruction::I32Add,
        Instruction::I32Const(-8),
        Instruction::I32And,
        Instruction::GlobalSet(0),
        Instruction::End,
    ];
    for instruction in &aligned {
        body.instruction(instruction);
    }
    body
}

fn constant(random: &mut Random, ty: wasmparser::ValType) -> Instruction<'static> {
    match ty {
        wasmparser::ValType::I32 => Instruction::I32Const(word(random).cast_signed()),
        wasmparser::ValType::I64 => Instruction::I64Const(random.next().cast_signed() >> random.below(64)),
        wasmparser::ValType::F32 => Instruction::F32Const(f32::from_bits(word(random)).into()),
        _ => Instruction::F64Const(f64::from_bits(random.next()).into()),
    }
}

/// A number as answers are made of: mostly small, or where something is.
fn word(random: &mut Random) -> u32 {
    let near = |random: &mut Random, range: u32| u32::try_from(random.below(range as usize)).unwrap();
    match random.below(20) {
        0..=6 => near(random, 3),
        7..=9 => near(random, 16),
        10..=12 => TEXTS + near(random, 32),
        13..=16 => WORDS + near(random, (END_OF_WORDS - WORDS) / 8) * 8,
        17 => near(random, 5_000),
        18 => *random.pick(&[u32::MAX, u32::MAX - 8, 0x7fff_ffff, 0x8000_0000, 1 << 16, 1 << 18, 1 << 20]),
        _ => u32::try_from(random.next() >> 32).unwrap(),
    }
}

fn data(random: &mut Random) -> DataSection {
    let mut section = DataSection::new();
    let mut put = |at: u32, words: &[u32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        section.active(0, &ConstExpr::i32_const(at.cast_signed()), bytes);
    };
    // A name, a version and a description; no schema.
    put(INFO, &[TEXTS, 6, TEXTS, 6, TEXTS, 6, TEXTS, 0]);
    put(OK, &[0; 4]);
    put(OFFERS, &[OFFERS + 16, 1, 0, 0, TEXTS, 6, TEXTS, 6, TEXTS, 6]);
    let words: Vec<u32> = (0..(END_OF_WORDS - WORDS) / 4).map(|_| word(random)).collect();
    put(WORDS, &words);
    let mut texts = b"python\0memory-cpus/../etc\x1b[2Jwharf.run\xff\xc3(".to_vec();
    if random.one_in(3) {
        let at = random.below(texts.len());
        texts[at] = u8::try_from(random.below(256)).unwrap();
    }
    texts[..6].copy_from_slice(b"python");
    section.active(0, &ConstExpr::i32_const(TEXTS.cast_signed()), texts);
    section
}
