use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use crossbeam_channel::bounded;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Cache, EvalError,
    cache::{Known, read_hashed},
};
use crate::models::Digest;

/// Looks at many pictures once, over several threads, and remembers what it found.
pub struct Survey<'a> {
    /// The folder that paths are relative to.
    pub root: &'a Path,
    /// Threads, at least 1; each has stages of its own.
    pub workers: usize,
    /// What was found before; `None` looks at everything anew and keeps nothing.
    pub cache: Option<&'a mut Cache>,
    /// Whether to stop: pictures that are begun are finished and kept.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Called after each picture with the number of those done.
    pub progress: &'a mut dyn FnMut(usize),
}

/// What a thread of a survey does with the bytes of one picture. Built and used on one thread.
pub type Look<T> = Box<dyn FnMut(&Path, io::Result<&[u8]>) -> Result<T, EvalError>>;

impl Survey<'_> {
    /// What `look` finds in each of the pictures, in their order. `make_look` is called once on every thread that has work.
    ///
    /// What is found in a file that cannot be read is not remembered.
    ///
    /// # Errors
    /// [`EvalError::Stopped`] when asked to stop, or the first error of a look, of `make_look` or of the cache. What was
    /// found until then is in the cache.
    pub fn look<T: Serialize + DeserializeOwned + Send>(
        &mut self,
        pictures: &[PathBuf],
        make_look: &(dyn Fn() -> Result<Look<T>, EvalError> + Sync),
    ) -> Result<Vec<T>, EvalError> {
        let mut found: Vec<Option<T>> = pictures.iter().map(|_| None).collect();
        let mut done = 0;
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (root, stop) = (self.root, self.stop);
        let (cache, progress) = (&mut self.cache, &mut self.progress);
        // Known pictures are sorted out by the threads, too: hashing is half the work of a second run.
        let known = cache.as_deref().map(Cache::known);
        let stopped = || stop() || failed.load(Ordering::Relaxed);
        let result = thread::scope(|scope| {
            let (report, reports) = bounded(2 * self.workers);
            for _ in 0..self.workers.clamp(1, pictures.len().max(1)) {
                let (report, next, stopped, known) = (report.clone(), &next, &stopped, &known);
                scope.spawn(move || {
                    let mut look = None;
                    while !stopped() {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(picture) = pictures.get(at) else { break };
                        let finding = find(&root.join(picture), known.as_ref(), &mut look, make_look);
                        if report.send((at, finding)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(report);
            let mut result = Ok(());
            for (at, finding) in reports {
                let kept = finding.and_then(|Finding { value, fresh }| {
                    if let (Some(digest), Some(cache)) = (fresh, cache.as_deref_mut()) {
                        cache.put(digest, &value)?;
                    }
                    Ok(value)
                });
                match kept {
                    Ok(value) => {
                        found[at] = Some(value);
                        done += 1;
                        progress(done);
                    }
                    Err(e) => {
                        failed.store(true, Ordering::Relaxed);
                        result = result.and(Err(e));
                    }
                }
            }
            result
        });
        result?;
        let of = pictures.len();
        found.into_iter().collect::<Option<Vec<T>>>().ok_or(EvalError::Stopped { done, of })
    }
}

/// What was found in one picture, and the picture's hash when that is to be remembered.
struct Finding<T> {
    value: T,
    fresh: Option<Digest>,
}

fn find<T: DeserializeOwned>(
    path: &Path,
    known: Option<&Known>,
    look: &mut Option<Look<T>>,
    make_look: &(dyn Fn() -> Result<Look<T>, EvalError> + Sync),
) -> Result<Finding<T>, EvalError> {
    let read = read_hashed(path);
    if let (Ok((digest, _)), Some(known)) = (&read, known)
        && let Some(value) = known.get(digest)
    {
        return Ok(Finding { value, fresh: None });
    }
    // Stages are built for the first picture that needs them: a run with nothing new builds none.
    let look = match look {
        Some(look) => look,
        none => none.insert(make_look()?),
    };
    Ok(match read {
        Ok((digest, bytes)) => Finding { value: look(path, Ok(&bytes))?, fresh: Some(digest) },
        Err(e) => Finding { value: look(path, Err(e))?, fresh: None },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::{TempDir, tempdir};

    use super::*;

    /// Pictures whose content is their number.
    fn pictures(n: usize) -> (TempDir, Vec<PathBuf>) {
        let dir = tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..n).map(|i| PathBuf::from(format!("{i}.jpg"))).collect();
        paths.iter().enumerate().for_each(|(i, p)| fs::write(dir.path().join(p), i.to_string()).unwrap());
        (dir, paths)
    }

    /// Reads the numbers; how many were looked at goes into `looked`.
    fn numbers(
        dir: &TempDir,
        paths: &[PathBuf],
        cache: Option<&mut Cache>,
        looked: &AtomicUsize,
        stop_after: usize,
    ) -> Result<Vec<usize>, EvalError> {
        // The looks of a survey live as long as its threads, and so not as long as the counter: a channel counts for them.
        let (count, counted) = crossbeam_channel::unbounded();
        let mut survey = Survey {
            root: dir.path(),
            workers: 2,
            cache,
            stop: &|| counted.len() >= stop_after,
            progress: &mut |_| (),
        };
        let result = survey.look(paths, &|| {
            let count = count.clone();
            Ok(Box::new(move |_, bytes| {
                count.send(()).unwrap();
                match bytes {
                    Ok(bytes) => Ok(std::str::from_utf8(bytes).unwrap().parse().unwrap()),
                    Err(_) => Ok(usize::MAX),
                }
            }))
        });
        looked.store(counted.len(), Ordering::Relaxed);
        result
    }

    #[test]
    fn findings_come_in_the_order_of_the_pictures_and_a_second_run_looks_at_none() {
        let (dir, mut paths) = pictures(50);
        paths.push("missing.jpg".into());
        let cache_dir = tempdir().unwrap();
        let expected: Vec<usize> = (0..50).chain([usize::MAX]).collect();
        for new in [51, 1] {
            let (mut cache, looked) = (Cache::open(cache_dir.path(), "m").unwrap(), AtomicUsize::new(0));
            assert_eq!(numbers(&dir, &paths, Some(&mut cache), &looked, usize::MAX).unwrap(), expected);
            assert_eq!(looked.into_inner(), new, "what cannot be read is not remembered");
        }
    }

    #[test]
    fn a_stopped_survey_leaves_what_it_found() {
        let (dir, paths) = pictures(50);
        let cache_dir = tempdir().unwrap();
        let looked = AtomicUsize::new(0);
        let mut cache = Cache::open(cache_dir.path(), "m").unwrap();
        let error = numbers(&dir, &paths, Some(&mut cache), &looked, 10).unwrap_err();
        let before = looked.into_inner();
        assert!(
            matches!(error, EvalError::Stopped { done, of: 50 } if done == before && (10..50).contains(&done)),
            "{error}"
        );
        let (mut cache, looked) = (Cache::open(cache_dir.path(), "m").unwrap(), AtomicUsize::new(0));
        numbers(&dir, &paths, Some(&mut cache), &looked, usize::MAX).unwrap();
        assert_eq!(looked.into_inner(), 50 - before);
    }

    #[test]
    fn the_first_error_ends_the_survey() {
        let (dir, paths) = pictures(50);
        let mut survey = Survey { root: dir.path(), workers: 2, cache: None, stop: &|| false, progress: &mut |_| () };
        let found = survey.look::<u32>(&paths, &|| {
            Ok(Box::new(|path, _| Err(EvalError::Chart { reason: path.display().to_string() })))
        });
        assert!(matches!(found, Err(EvalError::Chart { .. })));
    }

    #[test]
    fn no_pictures_are_no_work() {
        let mut survey =
            Survey { root: Path::new("."), workers: 2, cache: None, stop: &|| true, progress: &mut |_| () };
        assert!(survey.look::<u32>(&[], &|| panic!("nothing to look at")).unwrap().is_empty());
    }
}
