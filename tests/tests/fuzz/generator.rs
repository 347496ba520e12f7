//! Guests of each world whose functions do something at random: call the host with whatever numbers, and answer with whatever is
//! in their memory.
//!
//! What passes values in and out of a component is taken from the hostile guests, which import all that their worlds can be granted,
//! and standard WASI besides: only the core module within is another one. What a component must do to be loaded at all (say what it
//! is, accept its settings) most of them do right.

use std::fs;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, Encode, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, Instruction, MemArg, MemorySection, MemoryType, Module, RawSection, SectionId, ValType,
};
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef};

use crate::random::Random;

/// The guests whose outsides are taken, one for each world.
pub(crate) const GUESTS: [&str; 4] = [
    env!("WHARF_HOSTILE_PERMISSION_CLOCK"),
    env!("WHARF_HOSTILE_GRANTS"),
    env!("WHARF_HOSTILE_IMAGE"),
    env!("WHARF_HOSTILE_ADAPTER_CLOCK"),
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
    /// The names of its own, all of which it exports.
    exports: Vec<String>,
    /// Sections that are taken as they are.
    raw: Vec<(u8, Vec<u8>)>,
}

impl Shape {
    pub(crate) fn of(guest: &str) -> Self {
        let whole = fs::read(guest).unwrap();
        let range = Parser::new(0).parse_all(&whole).find_map(|payload| match payload.unwrap() {
            // The first one is the guest's own; those behind it only pass calls on.
            Payload::ModuleSection { unchecked_range, .. } => Some(unchecked_range),
            _ => None,
        });
        let range = range.unwrap();
        // The section's number and its length stand before.
        let mut length = Vec::new();
        range.len().encode(&mut length);
        let begin = range.start - length.len() - 1;
        assert_eq!(whole[begin], CORE_MODULE, "the length of the core module isn't written in the shortest way");
        let mut shape = Self {
            around: (whole[..begin].to_vec(), whole[range.end..].to_vec()),
            types: Vec::new(),
            imported: Vec::new(),
            own: Vec::new(),
            exports: Vec::new(),
            raw: Vec::new(),
        };
        shape.read(&whole[range]);
        shape
    }

    fn read(&mut self, module: &[u8]) {
        let mut defined: Vec<u32> = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.unwrap();
            if let Some((id, range)) = payload.as_section()
                && [SectionId::Type as u8, SectionId::Import as u8].contains(&id)
            {
                self.raw.push((id, module[range].to_vec()));
            }
            match payload {
                Payload::TypeSection(types) => {
                    self.types = types.into_iter_err_on_gc_types().map(Result::unwrap).collect();
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        if let TypeRef::Func(ty) = import.unwrap().ty {
                            self.imported.push(ty);
                        }
                    }
                }
                Payload::FunctionSection(functions) => defined = functions.into_iter().map(Result::unwrap).collect(),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.unwrap();
                        if export.kind == ExternalKind::Func {
                            let at = export.index as usize - self.imported.len();
                            self.exports.push(export.name.to_owned());
                            self.own.push(defined[at]);
                        }
                    }
                }
                _ => {}
            }
        }
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
        for (id, data) in &self.raw {
            module.section(&RawSection { id: *id, data });
        }
        let mut functions = FunctionSection::new();
        for ty in &self.own {
            functions.function(*ty);
        }
        module.section(&functions);
        let maximum = if random.one_in(3) { None } else { Some(PAGES + random.below(64) as u64) };
        let memory = MemoryType { minimum: PAGES, maximum, memory64: false, shared: false, page_size_log2: None };
        module.section(MemorySection::new().memory(memory));
        let heap = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        module.section(GlobalSection::new().global(heap, &ConstExpr::i32_const(HEAP)));
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        for (at, name) in self.exports.iter().enumerate() {
            exports.export(name, ExportKind::Func, u32::try_from(self.imported.len() + at).unwrap());
        }
        module.section(&exports);
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
        let name = self.exports[at].as_str();
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
                (Some(answer), wasmparser::ValType::I32) => {
                    body.instruction(&Instruction::I32Const(answer.cast_signed()))
                }
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
