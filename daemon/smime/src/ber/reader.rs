//! The streaming reader: one octet of framing at a time, content in slices of the input. Which element may come next is
//! `grammar`'s; this file keeps the stack of open elements and the offsets.

use const_oid::ObjectIdentifier;
use der::Decode as _;

use super::grammar::{Action, Field, Kind, Place};
use super::head::{Head, HeadReader, Length};
use super::{BerError, to_definite};
use crate::limits::Limits;

/// What receives the parts of a CMS object, in the order of the object.
pub trait CmsVisitor {
    /// The visitor's own error, which the reader hands through.
    type Error: From<BerError>;

    /// The outer content type. A visitor refuses what it does not want.
    fn content_type(&mut self, oid: ObjectIdentifier) -> Result<(), Self::Error>;

    /// A complete element with its tag, in definite lengths.
    ///
    /// Certificates and Crls come as received if something inside them is malformed, so that one odd certificate does not
    /// sink the message.
    fn element(&mut self, field: Field, der: &[u8]) -> Result<(), Self::Error>;

    /// Octets of the (encrypted) content, without the heads of its pieces.
    fn content(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// The content is complete; `present` is false when it is detached.
    fn content_end(&mut self, present: bool) -> Result<(), Self::Error>;
}

/// Reads a ContentInfo with SignedData, EnvelopedData or AuthEnvelopedData in BER, from bytes that may be cut anywhere.
///
/// Zero octets, white space and line ends behind the object are passed over: they are padding of transports. Anything else
/// there is an error.
#[derive(Debug)]
pub struct CmsReader {
    limits: Limits,
    head: HeadReader,
    /// Offset of the head that is being read.
    head_offset: u64,
    /// Octets read so far.
    offset: u64,
    frames: Vec<Frame>,
    /// Octets of a primitive element, or of a collected one of definite length, that are still to come.
    body_left: u64,
    collecting: Option<Collecting>,
    kind: Option<Kind>,
    content_present: bool,
}

/// An open constructed element.
#[derive(Debug)]
struct Frame {
    place: Place,
    /// The first rule that has not been used.
    step: usize,
    /// Where it ends, if its length is definite.
    end: Option<u64>,
    /// Where it ends at the latest: the end of the nearest element of definite length.
    limit: u64,
}

/// An element that is being collected.
#[derive(Debug)]
struct Collecting {
    action: Action,
    /// Open elements around it.
    depth: usize,
    bytes: Vec<u8>,
}

impl CmsReader {
    /// A reader that holds to `nesting` and `cms_element_len`.
    pub fn new(limits: &Limits) -> Self {
        let top = Frame {
            place: Place::Top,
            step: 0,
            end: None,
            limit: u64::MAX,
        };
        Self {
            limits: limits.clone(),
            head: HeadReader::default(),
            head_offset: 0,
            offset: 0,
            frames: vec![top],
            body_left: 0,
            collecting: None,
            kind: None,
            content_present: false,
        }
    }

    /// The next bytes of the object.
    ///
    /// # Errors
    /// [`BerError`] (as `V::Error`) for what is malformed or beyond the limits, and the visitor's own errors. The reader is
    /// of no use after an error.
    pub fn push<V: CmsVisitor>(&mut self, mut input: &[u8], visitor: &mut V) -> Result<(), V::Error> {
        while let Some((&octet, behind)) = input.split_first() {
            if self.body_left > 0 {
                let length = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(input.len());
                let (now, later) = input.split_at(length);
                input = later;
                self.offset += length as u64;
                self.body_left -= length as u64;
                match &mut self.collecting {
                    Some(collecting) => collecting.append(now, &self.limits)?,
                    None => visitor.content(now)?,
                }
                if self.body_left == 0 {
                    self.element_end(visitor)?;
                }
                continue;
            }
            if self.is_done() {
                return self.padding(input).map_err(V::Error::from);
            }
            let offset = self.offset;
            if offset >= self.limit() {
                return Err(BerError::Overrun { offset }.into());
            }
            self.offset += 1;
            input = behind;
            if let Some(head) = self.head.push(octet, offset)? {
                self.element_begin(head, visitor)?;
                self.head_offset = self.offset;
            }
        }
        Ok(())
    }

    /// The input is complete.
    ///
    /// # Errors
    /// [`BerError::Truncated`] (as `V::Error`) if the object is not.
    pub fn end<V: CmsVisitor>(&mut self, _visitor: &mut V) -> Result<(), V::Error> {
        if self.is_done() {
            Ok(())
        } else {
            Err(BerError::Truncated { offset: self.offset }.into())
        }
    }

    /// Whether the outermost element is complete.
    fn is_done(&self) -> bool {
        matches!(
            self.frames.as_slice(),
            [Frame {
                place: Place::Top,
                step: 1,
                ..
            }]
        ) && self.collecting.is_none()
            && self.body_left == 0
    }

    /// What stands behind the object.
    fn padding(&mut self, input: &[u8]) -> Result<(), BerError> {
        match input
            .iter()
            .position(|octet| !matches!(octet, 0 | b' ' | b'\t' | b'\r' | b'\n'))
        {
            Some(index) => Err(BerError::TrailingData {
                offset: self.offset + index as u64,
            }),
            None => {
                self.offset += input.len() as u64;
                Ok(())
            }
        }
    }

    fn limit(&self) -> u64 {
        self.frames.last().map_or(u64::MAX, |frame| frame.limit)
    }

    /// A head has been read: what it begins.
    fn element_begin<V: CmsVisitor>(&mut self, head: Head, visitor: &mut V) -> Result<(), V::Error> {
        if let Some(collecting) = &mut self.collecting {
            collecting.append(self.head.octets(), &self.limits)?;
        }
        if head.tag == 0 {
            return self.end_of_contents(head, visitor);
        }
        let end = match head.length {
            Length::Indefinite => None,
            Length::Definite(length) => Some(
                self.offset
                    .checked_add(length)
                    .filter(|end| *end <= self.limit())
                    .ok_or(BerError::Overrun {
                        offset: self.head_offset,
                    })?,
            ),
        };
        if self.collecting.is_some() {
            return self.collect_more(end, visitor);
        }
        match self.action(head)? {
            Action::OuterContentType => self.collect(Action::OuterContentType, head, end, visitor),
            Action::Collect(field) => self.collect(Action::Collect(field), head, end, visitor),
            Action::Enter(place) => self.enter(place, end, visitor),
            Action::EnterWrapper => match self.kind {
                Some(kind) => self.enter(Place::Wrapper(kind), end, visitor),
                None => Err(BerError::InvalidContentType.into()),
            },
            Action::Content => {
                self.content_present = true;
                if head.is_constructed() {
                    self.enter(Place::Pieces, end, visitor)
                } else {
                    self.body(end, visitor)
                }
            }
        }
    }

    /// What the grammar says about an element, which then counts as seen.
    fn action(&mut self, head: Head) -> Result<Action, BerError> {
        let offset = self.head_offset;
        let unexpected = |within: &'static str| BerError::Unexpected {
            tag: head.tag,
            offset,
            within,
        };
        let Some(frame) = self.frames.last_mut() else {
            return Err(unexpected("nothing"));
        };
        if frame.place == Place::Pieces {
            return match head.tag {
                0x04 | 0x24 => Ok(Action::Content),
                _ => Err(unexpected(frame.place.name())),
            };
        }
        let (index, action) = frame
            .place
            .find(frame.step, head.tag)
            .ok_or_else(|| unexpected(frame.place.name()))?;
        frame.step = index + 1;
        Ok(action)
    }

    /// A constructed element whose children the grammar knows, or pieces of content.
    fn enter<V: CmsVisitor>(&mut self, place: Place, end: Option<u64>, visitor: &mut V) -> Result<(), V::Error> {
        // The frame that stands for the outside is not a level.
        if self.frames.len() > self.limits.nesting {
            return Err(BerError::TooDeep {
                limit: self.limits.nesting,
            }
            .into());
        }
        let limit = end.unwrap_or_else(|| self.limit());
        self.frames.push(Frame {
            place,
            step: 0,
            end,
            limit,
        });
        self.close_finished(visitor)
    }

    /// Contents of definite length, with nothing in them to be looked at here.
    fn body<V: CmsVisitor>(&mut self, end: Option<u64>, visitor: &mut V) -> Result<(), V::Error> {
        self.body_left = end.map_or(0, |end| end - self.offset);
        if self.body_left == 0 {
            self.element_end(visitor)
        } else {
            Ok(())
        }
    }

    /// The beginning of an element that is handed on whole.
    fn collect<V: CmsVisitor>(
        &mut self,
        action: Action,
        head: Head,
        end: Option<u64>,
        visitor: &mut V,
    ) -> Result<(), V::Error> {
        let mut collecting = Collecting {
            action,
            depth: self.frames.len(),
            bytes: Vec::new(),
        };
        if let Length::Definite(length) = head.length
            && length > self.limits.cms_element_len as u64
        {
            return Err(collecting.too_long(&self.limits).into());
        }
        collecting.append(self.head.octets(), &self.limits)?;
        self.collecting = Some(collecting);
        self.collect_more(end, visitor)
    }

    /// An element inside the collected one, or the collected one itself: taken as it is when its end is known.
    fn collect_more<V: CmsVisitor>(&mut self, end: Option<u64>, visitor: &mut V) -> Result<(), V::Error> {
        match end {
            Some(_) => self.body(end, visitor),
            None => self.enter(Place::Collected, None, visitor),
        }
    }

    fn end_of_contents<V: CmsVisitor>(&mut self, head: Head, visitor: &mut V) -> Result<(), V::Error> {
        match self.frames.last() {
            Some(Frame { end: None, place, .. }) if head.is_end_of_contents() && *place != Place::Top => {
                self.close(visitor)?;
                self.close_finished(visitor)
            }
            frame => {
                let within = frame.map_or("nothing", |frame| frame.place.name());
                Err(BerError::Unexpected {
                    tag: 0,
                    offset: self.head_offset,
                    within,
                }
                .into())
            }
        }
    }

    /// The element whose contents were being read is complete.
    fn element_end<V: CmsVisitor>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        self.deliver(visitor)?;
        self.close_finished(visitor)
    }

    /// Closes every element of definite length that ends here.
    fn close_finished<V: CmsVisitor>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        while self.frames.last().is_some_and(|frame| frame.end == Some(self.offset)) {
            self.close(visitor)?;
        }
        Ok(())
    }

    /// Closes the innermost open element.
    fn close<V: CmsVisitor>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        if !frame.place.is_complete(frame.step) {
            return Err(BerError::Incomplete {
                offset: self.offset,
                within: frame.place.name(),
            }
            .into());
        }
        match frame.place {
            Place::EncapsulatedContentInfo | Place::EncryptedContentInfo => visitor.content_end(self.content_present),
            Place::Collected => self.deliver(visitor),
            _ => Ok(()),
        }
    }

    /// Hands the collected element on if it is complete.
    fn deliver<V: CmsVisitor>(&mut self, visitor: &mut V) -> Result<(), V::Error> {
        let depth = self.frames.len();
        let Some(collecting) = self.collecting.take_if(|collecting| collecting.depth == depth) else {
            return Ok(());
        };
        let definite = to_definite(&collecting.bytes, &self.limits);
        match collecting.action {
            Action::Collect(field @ (Field::Certificates | Field::Crls)) => {
                visitor.element(field, &definite.unwrap_or(collecting.bytes))
            }
            Action::Collect(field) => visitor.element(field, &definite?),
            _ => {
                let oid = ObjectIdentifier::from_der(&definite?).map_err(|_| BerError::InvalidContentType)?;
                visitor.content_type(oid)?;
                self.kind = Some(Kind::from_oid(oid).ok_or(BerError::UnsupportedContentType(oid))?);
                Ok(())
            }
        }
    }
}

impl Collecting {
    fn append(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), BerError> {
        // Ten octets for the outermost head.
        if self.bytes.len().saturating_add(bytes.len()) > limits.cms_element_len.saturating_add(10) {
            return Err(self.too_long(limits));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn too_long(&self, limits: &Limits) -> BerError {
        let element = match self.action {
            Action::Collect(field) => field.name(),
            _ => "contentType",
        };
        BerError::ElementTooLong {
            element,
            limit: limits.cms_element_len,
        }
    }
}
