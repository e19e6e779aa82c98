//! Files and folders that are made under another name beside their own, and get their own when
//! they are complete: whatever ends the work before leaves nothing.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Code, Failure};
use crate::interrupt::{Clearing, Left};

/// The folders above a place that are not there yet. Dropped before [`keep`](Self::keep), those that
/// hold nothing go again; an interrupted command removes them too.
pub(crate) struct Above {
    /// The deepest first.
    folders: Vec<PathBuf>,
    _clearing: Vec<Clearing>,
}

impl Above {
    pub(crate) fn of(out: &Path) -> Self {
        let folders: Vec<PathBuf> = out
            .ancestors()
            .skip(1)
            .take_while(|folder| !folder.as_os_str().is_empty() && !is_there(folder))
            .map(Path::to_owned)
            .collect();
        // The last is cleared first.
        let clearing =
            folders.iter().rev().cloned().map(|folder| Clearing::of(Left::Folder(folder)));
        Self { _clearing: clearing.collect(), folders }
    }

    /// Makes them.
    pub(crate) fn make(&self) -> io::Result<()> {
        self.folders.first().map_or(Ok(()), fs::create_dir_all)
    }

    /// They stay.
    pub(crate) fn keep(&mut self) {
        self.folders.clear();
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = fs::remove_dir(folder); // which it does where it is empty
        }
    }
}

/// A name beside another. Dropped before [`publish`](Self::publish), what has it is removed; an
/// interrupted command removes it too.
pub(crate) struct Beside {
    out: PathBuf,
    path: PathBuf,
    done: bool,
    above: Above,
    _clearing: [Clearing; 2],
}

impl Beside {
    /// For `wiki`, and `packing` as what is done, `.wiki.<number of the process>.packing`. Folders
    /// above it are made, nothing else yet.
    pub(crate) fn new(out: &Path, what: &str) -> Result<Self, Failure> {
        let Some(name) = out.file_name() else {
            let what = format!("{}: a name at its end is needed", out.display());
            return Err(Failure::new(Code::Usage, what));
        };
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.{what}", std::process::id()));
        let path = out.with_file_name(&hidden);
        // The library writes under a name of its own beside that.
        hidden.push(".tmp");
        let deeper = out.with_file_name(hidden);
        let above = Above::of(out);
        above.make().map_err(|error| Failure::io("write", out.display(), &error))?;
        let clearing = [&path, &deeper].map(|path| Clearing::of(Left::Own(path.clone())));
        Ok(Self { out: out.to_owned(), path, done: false, above, _clearing: clearing })
    }

    /// The name to work under.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives what was made its name, durably where `sync` is set.
    pub(crate) fn publish(mut self, sync: bool) -> io::Result<()> {
        fs::rename(&self.path, &self.out)?;
        self.done = true;
        self.above.keep();
        if sync { sync_names(&self.out) } else { Ok(()) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.done {
            remove(&self.path);
        }
    }
}

/// Removes a file, or a folder with all that is in it, where there is one.
pub(crate) fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}

/// Whether there is something, even a link that leads nowhere.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Makes renamings in the directory of a path durable. Windows has no such call.
pub(crate) fn sync_names(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if cfg!(unix) { File::open(parent.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}
