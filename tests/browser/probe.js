// Measures a page: how wide it is, what sticks out, which texts are too pale, which sections cannot be seen.
(contrast) => {
  const channels = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (front, back) => ({
    r: front.r * front.a + back.r * (1 - front.a),
    g: front.g * front.a + back.g * (1 - front.a),
    b: front.b * front.a + back.b * (1 - front.a),
    a: 1,
  });
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(channels(getComputedStyle(at).backgroundColor));
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const canvas = dark ? { r: 18, g: 18, b: 18, a: 1 } : { r: 255, g: 255, b: 255, a: 1 };
    return layers.reverse().reduce((back, front) => over(front, back), canvas);
  };
  const ratio = (element) => {
    const back = behind(element);
    const [high, low] = [luminance(over(channels(getComputedStyle(element).color), back)), luminance(back)].sort(
      (a, b) => b - a,
    );
    return (high + 0.05) / (low + 0.05);
  };
  const isSeen = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  };
  const unseen = (element) => element.closest(".unseen, svg") !== null;

  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() && !unseen(element) && isSeen(element)) texts.push(walker.currentNode);
  }
  const range = document.createRange();
  const rights = texts.map((text) => {
    range.selectNodeContents(text);
    return { text: text.data.trim().slice(0, 40), right: range.getBoundingClientRect().right };
  });
  const sections = [...document.querySelectorAll("main section")];
  const root = document.documentElement;
  return {
    width: Math.max(root.scrollWidth, document.body.scrollWidth),
    outside: [
      ...rights.filter(({ right }) => right > innerWidth + 0.5),
      ...[...document.querySelectorAll("body *")]
        .filter((element) => !unseen(element) && isSeen(element))
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
        .map((element) => ({ text: element.tagName, right: element.getBoundingClientRect().right })),
    ],
    texts: texts.length,
    pale: texts
      .map((text) => ({ text: text.data.trim().slice(0, 40), ratio: ratio(text.parentElement) }))
      .filter((each) => each.ratio < contrast),
    sections: sections.length,
    hidden: sections
      .filter((section) => !isSeen(section) || ![...section.querySelectorAll("h2, h3")].some(isSeen))
      .map((section) => section.id || section.getAttribute("aria-labelledby") || section.outerHTML.slice(0, 80)),
  };
};
