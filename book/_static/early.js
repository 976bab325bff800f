// The theme's icons use the web font; FontAwesome's SVG replacement would remove the <i> nodes that Play needs.
window.FontAwesomeConfig = { autoReplaceSvg: false };
