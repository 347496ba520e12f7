//! Compiled code on disk.
//!
//! Loading compiled code runs it: whoever can write a file here can run anything in this process. So the folder is ours
//! alone (0700), and every file carries a keyed hash that ties its code to the component and to the engine that it is for.
//! Whatever doesn't fit is compiled again.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// More files than this, and the oldest go.
const MAX_FILES: usize = 128;
const KEY_FILE: &str = "key";
const KEY_LENGTH: usize = 32;
const TAG_LENGTH: usize = 32;
const EXTENSION: &str = "cwasm";

/// A folder of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    key: hmac::Key,
    /// What the engine's compiled code depends on, hashed.
    engine: String,
}

impl Cache {
    /// Opens a folder, and makes it when it isn't there.
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let metadata = fs::metadata(dir)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the folder belongs to another user"));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        }
        let key = read_key(dir).map_or_else(|| make_key(dir), Ok)?;
        Ok(Self { dir: dir.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, &key), engine: engine_digest(engine) })
    }

    /// The compiled form of a component, when it is there and untouched.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let mut bytes = Vec::new();
        File::open(self.file(digest)).ok()?.read_to_end(&mut bytes).ok()?;
        let (tag, code) = bytes.split_at_checked(TAG_LENGTH)?;
        if hmac::verify(&self.key, &self.signed(digest, code), tag).is_err() {
            tracing::warn!(component = digest, "a file of compiled code isn't what was written; it is compiled again");
            return None;
        }
        // SAFETY: The keyed hash shows that these bytes came from `Component::serialize` in a process that could read our
        // key, which only our user can, and that they belong to this component and to an engine like this one.
        #[expect(unsafe_code, reason = "compiled code can't be loaded in another way")]
        let component = unsafe { Component::deserialize(engine, code) };
        component.inspect_err(|error| tracing::warn!(component = digest, %error, "compiled code doesn't load")).ok()
    }

    /// Keeps the compiled form of a component. That it can't is no error: it will be compiled again.
    pub(crate) fn store(&self, digest: &str, component: &Component) {
        if let Err(error) = self.write(digest, component) {
            tracing::warn!(component = digest, %error, "compiled code can't be kept");
        }
    }

    fn write(&self, digest: &str, component: &Component) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let code = component.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let tag = hmac::sign(&self.key, &self.signed(digest, &code));
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!("{digest}.{}.{number}.tmp", std::process::id()));
        let written = private_file(&temporary).and_then(|mut file| {
            file.write_all(tag.as_ref())?;
            file.write_all(&code)
        });
        let renamed = written.and_then(|()| fs::rename(&temporary, self.file(digest)));
        if renamed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        renamed.and_then(|()| self.prune())
    }

    /// Removes the oldest files when there are too many, among them what an interrupted write left.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name() != KEY_FILE {
                files.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(MAX_FILES);
        for (_, file) in &files[..surplus] {
            // Another process of the same home may have been faster.
            let _ = fs::remove_file(file);
        }
        Ok(())
    }

    fn file(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.{EXTENSION}", &self.engine[..16]))
    }

    /// What the keyed hash is over: the hash of the code, after what it is for.
    fn signed(&self, digest: &str, code: &[u8]) -> Vec<u8> {
        let code = hex::encode(Sha256::digest(code));
        format!("wharf compiled component\n{digest}\n{}\n{code}", self.engine).into_bytes()
    }
}

/// The key, unless somebody else could have read or written it.
fn read_key(dir: &Path) -> Option<[u8; KEY_LENGTH]> {
    let mut file = File::open(dir.join(KEY_FILE)).ok()?;
    let metadata = file.metadata().ok()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0;
    let mut key = [0; KEY_LENGTH];
    (ours && metadata.len() == KEY_LENGTH as u64).then(|| file.read_exact(&mut key).ok()).flatten()?;
    Some(key)
}

fn make_key(dir: &Path) -> io::Result<[u8; KEY_LENGTH]> {
    let mut key = [0; KEY_LENGTH];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system has no random numbers"))?;
    let temporary = dir.join(format!("{KEY_FILE}.{}.tmp", std::process::id()));
    private_file(&temporary)?.write_all(&key)?;
    fs::rename(&temporary, dir.join(KEY_FILE))?;
    Ok(key)
}

/// A new file that only our user can read, in the place of what was there.
fn private_file(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn engine_digest(engine: &wasmtime::Engine) -> String {
    /// Takes what a [`Hash`] gives; the 64 bits of a [`Hasher`] are too few to name files by.
    struct Sha(Sha256);

    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            0
        }
    }

    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    hex::encode(sha.0.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest component there is.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn only_untouched_code_is_loaded() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("cache");
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(&dir, &engine).unwrap();
        assert_eq!((mode(&dir), mode(&dir.join(KEY_FILE))), (0o700, 0o600));
        assert!(cache.load(&engine, "a").is_none());
        cache.store("a", &Component::new(&engine, EMPTY).unwrap());
        assert!(cache.load(&engine, "a").is_some());
        let file = cache.file("a");
        assert_eq!(mode(&file), 0o600);

        // Another component's code under this name.
        fs::copy(&file, cache.file("b")).unwrap();
        assert!(cache.load(&engine, "b").is_none());
        let good = fs::read(&file).unwrap();
        for at in [0, TAG_LENGTH, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, bad).unwrap();
            assert!(cache.load(&engine, "a").is_none(), "byte {at}");
        }
        for length in [0, 3, TAG_LENGTH, good.len() - 1] {
            fs::write(&file, &good[..length]).unwrap();
            assert!(cache.load(&engine, "a").is_none(), "{length} bytes");
        }
        fs::write(&file, &good).unwrap();
        assert!(Cache::open(&dir, &engine).unwrap().load(&engine, "a").is_some());
    }

    #[test]
    fn a_key_that_others_can_read_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(home.path(), &engine).unwrap();
        cache.store("a", &Component::new(&engine, EMPTY).unwrap());
        let key = fs::read(home.path().join(KEY_FILE)).unwrap();
        fs::set_permissions(home.path().join(KEY_FILE), Permissions::from_mode(0o644)).unwrap();
        let cache = Cache::open(home.path(), &engine).unwrap();
        assert_ne!(fs::read(home.path().join(KEY_FILE)).unwrap(), key);
        assert!(cache.load(&engine, "a").is_none());
    }

    #[test]
    fn the_folder_does_not_grow_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::default();
        let cache = Cache::open(home.path(), &engine).unwrap();
        let component = Component::new(&engine, EMPTY).unwrap();
        for number in 0..MAX_FILES + 5 {
            cache.store(&format!("{number:03}"), &component);
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), MAX_FILES + 1);
        assert!(cache.load(&engine, &format!("{:03}", MAX_FILES + 4)).is_some());
    }
}
