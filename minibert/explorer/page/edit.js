// Typing moves words about; what was masked or flipped stays with its word.

/** Where a place in the text `old` has gone in `now`; null if it was inside what was changed. */
function moved(place, old, now) {
  let same = 0;
  while (same < Math.min(old.length, now.length) && old[same] === now[same]) same++;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - same && old.at(-1 - tail) === now.at(-1 - tail)) tail++;
  const [start, end] = place;
  if (end <= same) return [start, end];
  if (start >= old.length - tail) return [start + now.length - old.length, end + now.length - old.length];
  return null;
}

/** The positions among the pieces `now` of those at `positions` among `old`; `texts` are [[old, new], ...] of A and B. */
export function movedPositions(positions, old, now, texts) {
  const place = ({ word, characters }) => (word === null ? null : `${word.split(".")[0]}:${characters}`);
  const places = positions.flatMap((position) => {
    const piece = old[position];
    if (!piece || piece.word === null) return [];
    const side = Number(piece.word.split(".")[0]);
    const there = moved(piece.characters, ...texts[side]);
    return there ? [`${side}:${there}`] : [];
  });
  return now.flatMap((piece, position) => (places.includes(place(piece)) ? [position] : []));
}
