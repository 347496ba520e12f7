//! Build contexts: a Containerfile and its files, as a tar.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use tar::{Builder, EntryType, Header};

use crate::containerfile::{ROOT, Rendered};
use crate::error::ImageError;
use crate::folders::ImageFolder;

/// 2020-01-01: the same at every build, and late enough for formats that can't say 1970.
const MODIFIED: u64 = 1_577_836_800;

/// The build context of a rendered Containerfile.
pub(crate) fn of(rendered: &Rendered) -> Result<Bytes, ImageError> {
    write(|tar| {
        tar.file("Containerfile", rendered.text.as_bytes(), 0o644)?;
        rendered.files.iter().try_for_each(|(name, contents, mode)| tar.file(name, contents, *mode))
    })
}

/// The build context of a run image: the runner and the libraries, as they are below `/`.
pub(crate) fn of_run(rendered: &Rendered, runner: &[u8], in_container: &[(&str, &[u8])]) -> Result<Bytes, ImageError> {
    write(|tar| {
        tar.file("Containerfile", rendered.text.as_bytes(), 0o644)?;
        let mut files = vec![("bin/wharf-runner", runner, 0o755)];
        files.extend(in_container.iter().map(|(path, contents)| (*path, *contents, 0o644)));
        tar.folder(ROOT, 0o755)?;
        // COPY gives the folders of the context their modes, so each is there, before what is in it.
        let mut made = BTreeSet::new();
        for (path, contents, mode) in files {
            let path = format!("opt/wharf/{path}");
            tar.folders(&path, &mut made)?;
            tar.file(&format!("{ROOT}/{path}"), contents, mode)?;
        }
        tar.folder(&format!("{ROOT}/wharf"), 0o755)?;
        // Any user id that a configuration names can work there.
        tar.folder(&format!("{ROOT}/wharf/work"), 0o1777)
    })
}

/// The build context of folders, as they are below `/`.
pub(crate) fn of_folders(rendered: &Rendered, folders: &[ImageFolder]) -> Result<Bytes, ImageError> {
    write(|tar| {
        tar.file("Containerfile", rendered.text.as_bytes(), 0o644)?;
        tar.folder(ROOT, 0o755)?;
        let mut made = BTreeSet::new();
        for folder in folders {
            let target = folder.target.trim_matches('/');
            tar.folders(&format!("{target}/"), &mut made)?;
            for file in folder.source.files()? {
                let path = format!("{target}/{}", file.path);
                tar.folders(&path, &mut made)?;
                let mode = if file.executable { 0o755 } else { 0o644 };
                tar.file(&format!("{ROOT}/{path}"), &file.contents, mode)?;
            }
        }
        Ok(())
    })
}

struct Tar(Builder<Vec<u8>>);

fn write(fill: impl FnOnce(&mut Tar) -> io::Result<()>) -> Result<Bytes, ImageError> {
    let mut tar = Tar(Builder::new(Vec::new()));
    fill(&mut tar)
        .and_then(|()| tar.0.into_inner())
        .map(Bytes::from)
        .map_err(|error| ImageError::io("put a build context together", error))
}

impl Tar {
    fn file(&mut self, path: &str, contents: &[u8], mode: u32) -> io::Result<()> {
        self.entry(path, contents, mode, EntryType::Regular)
    }

    fn folder(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.entry(&format!("{path}/"), &[], mode, EntryType::Directory)
    }

    /// The folders that a path below `/` is in, those that aren't there yet, each before what is in it.
    fn folders(&mut self, path: &str, made: &mut BTreeSet<String>) -> io::Result<()> {
        for (at, _) in path.match_indices('/') {
            if made.insert(path[..at].to_owned()) {
                self.folder(&format!("{ROOT}/{}", &path[..at]), 0o755)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, contents: &[u8], mode: u32, kind: EntryType) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(contents.len() as u64);
        header.set_mode(mode);
        header.set_mtime(MODIFIED);
        header.set_uid(0);
        header.set_gid(0);
        // Refuses an absolute path and one with `..`.
        self.0.append_data(&mut header, path, contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::{FolderFile, FolderSource};

    fn entries(bytes: &Bytes) -> Vec<(String, u32, u64)> {
        let mut archive = tar::Archive::new(bytes.as_ref());
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                (path, entry.header().mode().unwrap(), entry.size())
            })
            .collect()
    }

    #[test]
    fn modes_are_in_the_tar() {
        let rendered = Rendered {
            text: "FROM x\n".to_owned(),
            titles: vec![],
            files: vec![("files/0".to_owned(), vec![1, 2], 0o600)],
        };
        let expected = [("Containerfile".to_owned(), 0o644, 7), ("files/0".to_owned(), 0o600, 2)];
        assert_eq!(entries(&of(&rendered).unwrap()), expected);
    }

    #[test]
    fn the_run_layer_has_every_folder_once_and_before_its_files() {
        let rendered = Rendered { text: String::new(), titles: vec![], files: vec![] };
        let files: [(&str, &[u8]); 2] = [("python/dataiku/__init__.py", b"1"), ("python/dataiku/core.py", b"22")];
        let context = of_run(&rendered, b"ELF", &files).unwrap();
        let paths: Vec<String> =
            entries(&context).into_iter().map(|(path, mode, _)| format!("{path} {mode:o}")).collect();
        assert_eq!(
            paths,
            [
                "Containerfile 644",
                "root/ 755",
                "root/opt/ 755",
                "root/opt/wharf/ 755",
                "root/opt/wharf/bin/ 755",
                "root/opt/wharf/bin/wharf-runner 755",
                "root/opt/wharf/python/ 755",
                "root/opt/wharf/python/dataiku/ 755",
                "root/opt/wharf/python/dataiku/__init__.py 644",
                "root/opt/wharf/python/dataiku/core.py 644",
                "root/wharf/ 755",
                "root/wharf/work/ 1777",
            ]
        );
        assert_eq!(context, of_run(&rendered, b"ELF", &files).unwrap());
    }

    #[test]
    fn folders_are_there_with_their_modes_even_when_they_are_empty() {
        struct Files(Vec<FolderFile>);
        impl FolderSource for Files {
            fn files(&self) -> io::Result<Vec<FolderFile>> {
                Ok(self.0.clone())
            }
        }
        let file = |path: &str, executable| FolderFile { path: path.to_owned(), contents: b"1".to_vec(), executable };
        let folder = |target: &str, files| ImageFolder {
            target: target.to_owned(),
            digest: String::new(),
            source: std::sync::Arc::new(Files(files)),
        };
        let rendered = Rendered { text: String::new(), titles: vec![], files: vec![] };
        let folders = [
            folder("/opt/plugin/geo/lib", vec![file("a b.py", false), file("bin/run", true)]),
            folder("/opt/plugin/geo/resource", vec![]),
        ];
        let paths: Vec<String> = entries(&of_folders(&rendered, &folders).unwrap())
            .into_iter()
            .map(|(path, mode, _)| format!("{path} {mode:o}"))
            .collect();
        assert_eq!(
            paths,
            [
                "Containerfile 644",
                "root/ 755",
                "root/opt/ 755",
                "root/opt/plugin/ 755",
                "root/opt/plugin/geo/ 755",
                "root/opt/plugin/geo/lib/ 755",
                "root/opt/plugin/geo/lib/a b.py 644",
                "root/opt/plugin/geo/lib/bin/ 755",
                "root/opt/plugin/geo/lib/bin/run 755",
                "root/opt/plugin/geo/resource/ 755",
            ]
        );
    }

    #[test]
    fn a_path_that_leaves_the_layer_is_refused() {
        let rendered = Rendered { text: String::new(), titles: vec![], files: vec![] };
        assert!(of_run(&rendered, b"ELF", &[("../../etc/passwd", b"x")]).is_err());
    }
}
