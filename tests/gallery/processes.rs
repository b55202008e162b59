//! Several processes: locks, kills, a read-only medium.

use super::*;

/// Not a test by itself: what the test executable does when a test below starts it again.
#[test]
fn child() {
    let Ok(role) = std::env::var(CHILD_ROLE) else { return };
    let dir = PathBuf::from(std::env::var_os(CHILD_DIR).unwrap());
    let said = |what: &str| {
        println!("child: {what}");
        std::io::stdout().flush().unwrap();
    };
    match role.split_once(' ').unwrap_or((&role, "")) {
        ("hold", _) => {
            // A writer in the middle of a change holds this lock.
            let lock = File::open(&dir).unwrap();
            lock.lock().unwrap();
            said("locked");
            std::thread::sleep(Duration::from_secs(60));
        }
        ("enrol", prefix) => {
            let mut gallery = Gallery::open(&dir, None).unwrap();
            for n in 0..8 {
                gallery.enrol(subject(&format!("{prefix}{n}")), vec![template(&model(1), n)]).unwrap();
            }
        }
        ("churn", prefix) => {
            let mut gallery = Gallery::open(&dir, None).unwrap();
            for n in 0.. {
                gallery.enrol(subject(&format!("{prefix}-{n}")), vec![template(&model(1), n)]).unwrap();
                said(&format!("enrolled {prefix}-{n}"));
                if n % 2 == 1 {
                    said(&format!("removing {prefix}-{n}"));
                    gallery.remove(&id(&format!("{prefix}-{n}"))).unwrap();
                    said(&format!("removed {prefix}-{n}"));
                }
            }
        }
        ("read-only", _) => {
            let mut gallery = Gallery::open(&dir, None).unwrap();
            assert_eq!(ids(&gallery), ["ada", "grace"]);
            assert_eq!(gallery.snapshot(&model(1)).unwrap().subjects().len(), 2);
            assert!(gallery.verify().unwrap().is_sound());
            for e in [
                gallery.enrol(subject("new"), vec![template(&model(1), 5)]).unwrap_err(),
                gallery.remove(&id("ada")).unwrap_err(),
                Gallery::open_or_create(&dir.join("new"), None).unwrap_err(),
            ] {
                assert!(matches!(e, GalleryError::Io { .. }), "{e}");
                said(&e.to_string());
            }
        }
        other => panic!("{other:?}"),
    }
}

struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(executable: &Path, role: &str, dir: &Path) -> Command {
    let mut command = Command::new(executable);
    command.args(["--exact", "processes::child", "--nocapture", "--test-threads=1"]);
    command.env(CHILD_ROLE, role).env(CHILD_DIR, dir).stdout(Stdio::piped());
    command
}

fn start(role: &str, dir: &Path) -> Started {
    Started(command(&std::env::current_exe().unwrap(), role, dir).spawn().unwrap())
}

/// What the child says, line by line.
fn lines(child: &mut Started) -> impl Iterator<Item = String> + use<> {
    let out = BufReader::new(child.0.stdout.take().unwrap());
    // The test harness prints its own words before the child's first, on the same line.
    out.lines().map_while(Result::ok).filter_map(|l| Some(l.split_once("child: ")?.1.to_owned()))
}

#[test]
fn a_second_process_waits_then_says_who_is_in_the_way() {
    let (_temp, dir, mut gallery) = two();
    let mut holder = start("hold", &dir);
    assert_eq!(lines(&mut holder).next().as_deref(), Some("locked"));
    let asked = Instant::now();
    let e = gallery.enrol(subject("new"), vec![template(&model(1), 5)]).unwrap_err();
    assert!(matches!(e, GalleryError::InUse { .. }), "{e}");
    assert!(e.to_string().contains("in use by another process"), "{e}");
    assert!((1..10).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
    let freed = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ids(&gallery));
        std::thread::sleep(Duration::from_millis(300));
        drop(holder);
        waiting.join().unwrap()
    });
    assert_eq!(freed, ["ada", "grace"]);
}

#[test]
fn two_writers_lose_nothing() {
    let (_temp, dir, gallery) = empty();
    let mut writers = [start("enrol a", &dir), start("enrol b", &dir)];
    for writer in &mut writers {
        assert!(writer.0.wait().unwrap().success());
    }
    assert_eq!(ids(&gallery).len(), 16);
    assert!(gallery.verify().unwrap().is_sound());
}

#[test]
fn a_killed_writer_leaves_everything_it_had_reported() {
    let (_temp, dir, gallery) = two();
    let grace = gallery.subject(&id("grace")).unwrap();
    for round in 0u64..6 {
        let mut writer = start(&format!("churn r{round}"), &dir);
        let mut said = lines(&mut writer);
        let first = said.next().unwrap();
        std::thread::sleep(Duration::from_millis(7 * round + 3));
        // SIGKILL: no destructor runs, nothing is flushed.
        writer.0.kill().unwrap();
        let said: Vec<String> = std::iter::once(first).chain(said).collect();
        drop(writer);

        let present = ids(&gallery);
        let heard = |what: &str, who: &str| said.iter().any(|l| *l == format!("{what} {who}"));
        for line in &said {
            let Some(who) = line.strip_prefix("enrolled ") else { continue };
            if heard("removed", who) {
                assert!(!present.iter().any(|p| p == who), "{who} came back");
            } else if !heard("removing", who) {
                assert!(present.iter().any(|p| p == who), "{who} is lost");
            }
        }
        assert_eq!(gallery.subject(&id("grace")).unwrap(), grace);
        let report = gallery.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
    }
    // And a new writer goes on from there.
    Gallery::open(&dir, None).unwrap().enrol(subject("last"), vec![template(&model(1), 9)]).unwrap();
    assert!(!dir.join("gallery.redb.side").exists());
}

#[test]
fn a_crash_image_from_the_middle_of_a_transaction_is_read_and_written() {
    let (_temp, dir, mut gallery) = two();
    let expected = gallery.list().unwrap();
    let generation = gallery.verify().unwrap().generation;
    let image = dir.join("image");
    {
        let db = Database::open(store(&dir)).unwrap();
        let transaction = db.begin_write().unwrap();
        {
            let mut keys = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new("keys")).unwrap();
            let mut meta = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new("meta")).unwrap();
            for n in 0..4000u32 {
                keys.insert(n.to_be_bytes().as_slice(), [7; 400].as_slice()).unwrap();
            }
            meta.insert(b"generation".as_slice(), [0xff; 8].as_slice()).unwrap();
        }
        fs::copy(store(&dir), &image).unwrap();
    }
    assert!(redb::ReadOnlyDatabase::open(&image).is_err(), "the image is one that needs repair");
    fs::rename(&image, store(&dir)).unwrap();
    let before = fs::read(store(&dir)).unwrap();
    assert_eq!(gallery.list().unwrap(), expected);
    assert_eq!(gallery.verify().unwrap().generation, generation);
    assert_eq!(fs::read(store(&dir)).unwrap(), before, "reading does not touch the file");
    gallery.add_templates(&id("ada"), vec![template(&model(1), 9)]).unwrap();
    gallery.enrol(subject("new"), vec![template(&model(1), 5)]).unwrap();
    assert_eq!(ids(&gallery), ["ada", "grace", "new"]);
    assert!(gallery.verify().unwrap().is_sound());
}

#[test]
fn a_read_only_gallery_can_be_read_and_says_that_it_cannot_be_written() {
    let (temp, dir, _gallery) = two();
    let mut executable = std::env::current_exe().unwrap();
    let mut reader = if rustix::process::geteuid().is_root() {
        // Permissions do not bind root: look as nobody, with a copy of this program that nobody can reach.
        let nobody = 65534;
        executable = temp.path().join("child");
        fs::copy(std::env::current_exe().unwrap(), &executable).unwrap();
        set_mode(&executable, 0o755);
        set_mode(temp.path(), 0o755);
        for path in [&dir, &store(&dir), &dir.join("gallery.key")] {
            std::os::unix::fs::chown(path, Some(nobody), Some(nobody)).unwrap();
        }
        let mut reader = command(&executable, "read-only", &dir);
        reader.uid(nobody).gid(nobody).current_dir(temp.path());
        reader
    } else {
        command(&executable, "read-only", &dir)
    };
    set_mode(&store(&dir), 0o400);
    set_mode(&dir.join("gallery.key"), 0o400);
    set_mode(&dir, 0o500);
    let out = reader.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    set_mode(&dir, 0o700);
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(said.matches("Permission denied").count(), 3, "{said}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "nothing half-made");
}
