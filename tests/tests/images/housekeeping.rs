//! What there is, why, and what may go.

use wharf::message::{ImageDifference, ImageList, PruneReport};
use wharf_tests::Home;

use crate::built::{environment, home, images, never_before};

fn list(home: &Home) -> ImageList {
    home.call(["--json", "image", "list"]).exits(0).document()
}

#[test]
#[ignore = "needs docker (builds images)"]
fn old_images_go_and_needed_ones_stay() {
    let home = home();
    let build = || images(&home.call(["--json", "env", "build", "kept"]).exits(0)).pop().unwrap();
    let mark = format!("six==1.16.0\n{}", never_before());
    environment(&home, "kept", &mark);
    let first = build();
    environment(&home, "kept", &format!("{mark}# changed\n"));
    let second = build();

    // Why there is another one.
    let why: Vec<ImageDifference> = home.call(["--json", "image", "why", "kept"]).exits(0).document();
    let [env] = why.as_slice() else { panic!("{why:?}") };
    assert_eq!((env.before.as_ref(), Some(&env.after)), (first.key.as_ref(), second.key.as_ref()));
    assert_eq!(env.lines.last().map(String::as_str), Some("+ requirements: # changed"), "{env:?}");
    let (one, other) = (first.key.unwrap(), second.key.unwrap());
    let two = home.call(["--json", "image", "why", &other[..12], &one[..12]]).exits(0);
    let two: Vec<ImageDifference> = two.document();
    assert_eq!(two[0].lines, env.lines);
    assert!(home.call(["image", "why", "nothing"]).stderr.contains("knows no image called nothing"));

    // The list says who needs which.
    let listed = list(&home);
    let of = |key: &str| listed.images.iter().find(|image| image.key == key).unwrap();
    assert_eq!(of(&other).used_by, ["docker-local"]);
    assert_eq!((of(&one).kind.as_str(), of(&one).used_by.len()), ("env", 0));
    assert!(of(&one).last_used.is_some() && of(&one).size > 1_000_000);

    // Only what this home used before and doesn't need now goes.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let prune = |more: &[&str]| -> PruneReport {
        let arguments = [&["--json", "image", "prune", "--older-than", "1s", "--keep", "0"], more].concat();
        home.call(arguments).exits(0).document()
    };
    let dry = prune(&["--dry-run"]);
    assert!(dry.removed.iter().any(|image| image.key == one), "{dry:?}");
    assert!(list(&home).images.iter().any(|image| image.key == one));
    let report = prune(&[]);
    assert_eq!(report.refused, []);
    assert!(report.removed.iter().all(|image| image.used_by.is_empty()));
    let left = list(&home);
    assert!(!left.images.iter().any(|image| image.key == one), "{left:?}");
    assert!(left.images.iter().any(|image| image.key == other), "{left:?}");
    let kept = home.call(["--json", "env", "build", "kept"]).exits(0);
    assert!(!images(&kept)[0].built);
}
