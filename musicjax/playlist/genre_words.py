"""Words that say a seed genre where no style does, and words of regions. Our own compilation.

Tables are written as in `genre_styles.py`.
"""

from musicjax.playlist.genre_styles import parse

# What a word ends with that is no style as a whole.
AFFIXES = parse("""
electronic: tronica, tronic, wave, tek
hardcore: core
alt-rock: gaze
electronic, dance: beat
dubstep: step
reggaeton: aton, eton
acoustic: coustica, coustic
hip-hop: hop, rap, trap, phonk
rock: rock
pop: pop
punk: punk
metal: metal
folk: folk
jazz: jazz
funk: funk
soul: soul
house: house
techno: techno
trance: trance
disco: disco
reggae: reggae
bluegrass: grass
rockabilly: billy
""")

# Words that speak only where the name has no other style.
VAGUE = parse("""
electronic: experimental, beats, remix, dj, modular, bass, drain, psy
rock: beat, scene, tribute, cover
indie: bandas, underground, weird
country: texas, nashville
world-music: musica, musique, musik, muzica, musikk, muziek, musiikki, musiikkia, muzika, music,
  song, songs, canto, percussion, drums, drumming, dances, cultural, ethnic, world, tribal,
  traditional, traditionnelle, tradicional, ritual, indigenous, native, islands, pacific, mbira,
  kora, kalimba, oud, duduk, ney, qanun, saz, baglama, bouzouki, tamburica, tambura, cimbalom,
  balalaika, kantele, didgeridoo, hang, handpan, shamisen, koto, shakuhachi, taiko, guzheng, pipa,
  erhu, guqin, gayageum, panpipe, steelpan, kulintang, angklung, djembe
folk, world-music: accordion, concertina, hurdy gurdy, dulcimer, bagpipe, bagpipes, pipe band,
  zampogna, nyckelharpa, hardingfele, tin whistle, bodhran, irish flute, jaw harp
folk: fiddle, banjo, mandolin, harmonica
latin, folk: charango, cuatro, tiple, requinto, tres
classical: organ, harpsichord, lute, viol, violin, cello, viola, oboe, clarinet, bassoon, flute,
  horn, trumpet, trombone, tuba, saxophone, recorder, theorbo, harp, soprano, tenor, baritone,
  countertenor, ensemble, quartet, trio, conductor, medieval, strings
indian: sitar, tabla, veena, bansuri, sarod, dhol, nadaswaram
""")

# Words of regions, and the seed genre that they add; most of Europe and North America adds none.
REGIONS = parse("""
latin: mexican, mexicano, mexicana, mexico, argentine, argentino, argentina, chilean, chileno,
  chilena, colombian, colombiano, colombiana, colombia, peruvian, peruano, peruana, peru,
  venezuelan, venezolano, venezolana, venezuela, ecuadorian, ecuatoriano, ecuatoriana, bolivian,
  boliviano, boliviana, uruguayan, uruguayo, uruguaya, paraguayan, paraguayo, paraguaya, cuban,
  cubano, cubana, dominican, dominicano, dominicana, puerto rican, puertorriqueno, puertorriquena,
  boricua, salvadoran, salvadoreno, salvadorena, guatemalan, guatemalteco, chapin, honduran,
  hondureno, catracho, nicaraguan, nicaraguense, nica, costa rican, costarricense, tico, panamanian,
  panameno, panama, latinoamericano, latinoamericana, latin american, chicano, andean, andino,
  andina, chihuahua, sonorense, monterrey, tijuana, guadalajara, cdmx, jalisco, jalisciense, oaxaca,
  oaxaquena, yucateca, veracruz, regiomontano, sinaloense, buenos aires, rosario, cordoba, cordobes,
  mendoza, caracas, bogota, bogotano, medellin, cali, lima, limeno, santiago, quito, guayaquil,
  la plata, jujeno, salteno, santiagueno, cuyano, litoral, patagonico, chiapaneco, tapatio,
  potosino, poblano, nortena, tamaulipas, havana, montevideo
brazil: brazilian, brasileiro, brasileira, brasileiros, brasileiras, brasil, brazil, nacional,
  carioca, paulista, baiana, baiano, mineiro, mineira, gaucho, gaucha, paraense, piauiense,
  cearense, pernambucano, pernambucana, goiano, goiania, nordestino, nordestina, capixaba,
  curitibano, curitiba, manaus, potiguar, sergipano, paraibano, amazonense, rondoniense,
  catarinense, brasilia, brasiliense, caipira, maranhense, alagoano, recife, sao paulo,
  rio de janeiro, belo horizonte, porto alegre, salvador, cuiabano, amapaense, amazonica, acreano,
  matogrossense
spanish: spanish, espanol, espanola, espanoles, spain, catala, catalana, catalan, euskal, euskaldun,
  euskera, basque, vasco, galician, gallego, gallega, galego, galega, galicia, andaluz, andaluza,
  valenciano, valenciana, valencia, aragones, aragonesa, asturiano, asturiana, asturian, canario,
  canaria, madrid, madrileno, barcelona, bilbao, sevilla, sevillano, murciano, malaga, mallorca,
  menorca, pitiusa, ibiza, granada, zaragoza, castellana
german: german, deutsche, deutscher, deutsches, deutsch, germany, berlin, bavarian, bayerisch,
  hamburg, koln, cologne, munich, frankfurt, leipzig, ostdeutsch, neue deutsche, sachsen,
  schwabisch, frankisch, norddeutsch, bremen, stuttgart
french: french, francais, francaise, france, francophone, marseille, paris, parisian, rennes, lyon,
  lille, toulouse, bordeaux, nantes, strasbourg, francilien
swedish: swedish, svensk, svenska, svenskt, sweden, stockholm, malmo, norrland, goteborg, uppsala,
  skane, gotland
british: british, uk, english, brit, england, scottish, welsh, scotland
indian: indian, hindi, tamil, telugu, malayalam, kannada, punjabi, bengali, bhojpuri, manipuri,
  marathi, gujarati, odia, assamese, rajasthani, haryanvi, mumbai, delhi, kolkata, chennai,
  bangalore, india, naga, mizo, khasi, chhattisgarhi, nagpuri, garhwali, kumaoni, himachali, dogri,
  maithili, santali, konkani, goan, sindhi, northeast indian, kashmiri, hyderabadi, kerala, tulu,
  jharkhandi, uttarakhandi, oriya, sambalpuri
iranian: iranian, persian, farsi, tehran, iran
turkish: turkish, turk, turkce, turkiye, istanbul, anadolu, anatolian, ankara, izmir
malay: malaysian, malay, malaysia, sabahan, sabah, sarawak, kelantan, brunei, bruneian
philippines-opm: pinoy, filipino, filipina, philippine, philippines, manila, tagalog, visayan,
  bisaya, cebu, cebuano, ilocano, ilonggo, bicol, davao
k-pop: korean, korea, seoul, busan
j-pop: japanese, japan, tokyo, osaka, nagoya, kyoto
afrobeat: nigerian, ghanaian, naija, lagos, nigeria, ghana, yoruba
african: african, africa, africaine
world-music: south african, kenyan, ugandan, tanzanian, rwandan, burundian, congolese, congolais,
  angolan, angolano, mozambican, mocambicano, zambian, zimbabwean, zim, malawian, botswana,
  motswako, namibian, swazi, lesotho, basotho, malagasy, mauritian, comorian, comorienne,
  reunionnais, reunionnaise, seychelles, senegalese, gambian, malian, guinean, ivorian, ivoirien,
  burkinabe, togolese, beninese, cameroonian, camerounais, gabonese, gabonais, cape verdean,
  cabo verde, sierra leonean, liberian, igbo, hausa, ethiopian, eritrean, somali, sudanese,
  egyptian, libyan, tunisian, tunisien, algerian, algerien, moroccan, maroc, marocain, berber,
  amazigh, kabyle, saharan, mauritanian, arab, arabic, arabe, syrian, lebanese, palestinian,
  jordanian, iraqi, saudi, khaleeji, yemeni, emirati, omani, bahraini, kurdish, sorani, kurmanji,
  armenian, azeri, azerbaijani, georgian, kazakh, uzbek, kyrgyz, tajik, turkmen, uyghur, mongolian,
  tibetan, nepali, bhutanese, bangladeshi, bangla, sri lankan, sinhala, pakistani, pashto, afghan,
  maldivian, indonesian, indonesia, javanese, sundanese, balinese, batak, minang, acehnese, bugis,
  thai, isan, lao, khmer, cambodian, vietnamese, viet, burmese, myanmar, hmong, bodo, ladakhi,
  borneo, timor leste, papuan, png, maori, samoan, tongan, fijian, fiji, tahitian, polynesian,
  melanesian, micronesian, solomon islands, vanuatu, kiribati, new caledonian, kanak, hawaiian,
  hawaii, greenlandic, greenland, sami, icelandic, faroese, israeli, hebrew, yiddish, yakut, sakha,
  tatar, chechen, circassian, adyghe, caucasian, bashkir, buryat, tuvan, altai, siberian, kalmyk,
  ossetian, dagestani, abkhaz, crimean tatar, pontian, flemish, moorish, native american, mapuche,
  quechua, haitian, trinidadian, jamaican, bahamian, barbadian, guadeloupe, martinique, antillais,
  guyanese, surinamese, belizean, garifuna, curacao, aruban
""")
