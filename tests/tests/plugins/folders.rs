//! Managed folders with many files and with a large one, through a plugin's recipe.

use std::fs::{self, File};

use crate::kitchen::{self, recipe};

/// What is read of a folder is far less than this.
const LARGE: u64 = 5_000_000_000;
const FILES: usize = 10_000;
/// A list of all files, 1 MiB of the large one, what is under way when its reading ends, and what all of that is packed in.
const AT_MOST: u64 = 16 << 20;

#[test]
#[ignore = "needs docker (runs containers)"]
fn only_what_a_recipe_opens_crosses_and_names_differ_by_more_than_case() {
    let home = kitchen::home();
    let folder = home.data("many");
    for part in 0..FILES / 100 {
        let part_folder = folder.join(format!("part-{part:03}"));
        fs::create_dir_all(&part_folder).unwrap();
        for at in 0..100 {
            fs::write(part_folder.join(format!("file-{at:02}.txt")), format!("{part} {at}\n")).unwrap();
        }
    }
    // It takes no disk: nobody has written to it.
    File::create(folder.join("large.bin")).and_then(|file| file.set_len(LARGE)).unwrap();
    let bound = [home.bind("files", "many/"), home.bind("some", "some/")];
    let run = home.call(recipe("peek", &["--input", &bound[0], "--output", &bound[1]])).exits(0);
    let log: Vec<String> = run.log().into_iter().map(|(_, line)| line).collect();
    println!("{}", log.join("\n"));
    let number = |word: &str| -> u64 {
        let words: Vec<&str> = log.iter().flat_map(|line| line.split(' ')).collect();
        let at = words.iter().position(|other| *other == word).unwrap_or_else(|| panic!("no {word}: {run}"));
        words[at + 1].parse().unwrap()
    };
    assert_eq!(number("files"), FILES as u64 + 1);
    assert!(number("bytes") > LARGE);
    assert_eq!(number("read"), 1 << 20);
    let received = number("received");
    assert!(received > 1 << 20 && received < AT_MOST, "{received} bytes crossed");

    // The second of two names is refused while the recipe runs, and the first one stays.
    let refused = log.iter().find(|line| line.starts_with("refused:")).unwrap_or_else(|| panic!("{run}"));
    assert!(refused.contains("names must differ by more than case"), "{refused}");
    let there = |folder: &str| {
        let entries = fs::read_dir(home.data(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(there("some/part-000"), ["file-00.txt", "file-01.txt", "file-02.txt"]);
    assert_eq!(home.read_data("some/part-000/file-00.txt"), "0 0\n");
}
